"""Python's collector while a server starts, and free memory of children that rest."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys

import pytest

from dashscribe.heap import without_collector
from dashscribe.hosts import child
from dashscribe.hosts.protocol import Cut, Describe, Request, encode
from dashscribe.types import Limits, Options


def test_collector_rests_during_a_start_and_leaves_alone_what_was_there() -> None:
    with without_collector():
        assert not gc.isenabled()
        kept = [[] for _ in range(1000)]
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() >= len(kept)
    finally:
        gc.unfreeze()


def test_a_start_that_fails_has_the_collector_back() -> None:
    with pytest.raises(ValueError, match="port"), without_collector():
        raise ValueError("port")
    assert gc.isenabled()


CUT = Cut(path=b"a", url="a", options=Options(), limits=Limits(), max_duration_ms=1000, remedy="")


@pytest.mark.parametrize(("asked", "gives_back"), [(CUT, True), (Describe(), False)], ids=["cut", "describe"])
def test_a_child_gives_back_what_a_cut_took_once_its_answer_is_out(
    asked: Request, gives_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests, order = [encode(asked)], list[str]()

    class Pipe:
        def recv_bytes(self, most: int) -> bytes:
            if not requests:
                raise EOFError
            return requests.pop()

        def send_bytes(self, message: bytes) -> None:
            order.append("sent")

    monkeypatch.setattr(child, "give_back_the_rest", lambda: order.append("given back"))
    child._serve(Pipe(), Pipe(), lambda request: iter(()), {})
    assert order[-1] == ("given back" if gives_back else "sent")
    assert order.count("given back") == gives_back


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries keep memory in other ways")
def test_what_is_free_goes_back_to_the_system() -> None:
    """A process of its own: pieces that the C library keeps, since one that lives lies behind them."""
    look = """if True:
        import ctypes
        from pathlib import Path
        from dashscribe.heap import give_back_the_rest

        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.free.argtypes = [ctypes.c_void_p]
        libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

        def pages():
            return int(Path("/proc/self/statm").read_text().split()[1])

        pieces = [libc.malloc(60_000) for _ in range(1000)]
        for piece in pieces:
            libc.memset(piece, 1, 60_000)
        for piece in pieces[:-1]:
            libc.free(piece)
        kept = pages()
        give_back_the_rest()
        print((kept - pages()) * 4096)
    """
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 50_000_000
