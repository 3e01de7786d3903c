"""Whether 2 GB ever lie in the memory of a server: uploads, a source, a result, through its routes.

    python benchmarks/transfers.py [--gb 2] [--store folder|s3] [--s3 s3://BUCKET/PREFIX] [--only tus]

A server, and a client that sends from disk and keeps nothing of what it reads. What comes in is one blob, four ways:
tus in one piece; the service's form with a policy; OpenAI's form of a call; the source of a task, from a server on
loopback. It is no recording: calls and tasks end with that, after everything was received and stored. What goes out is
the same blob as the result of a task. Counted is the largest resident size of the server during a transfer, less what
it had before (``VmHWM``, reset in between), and that of the largest child. ``s3`` is a server of Swift that is started
here if Debian's packages are installed, or the bucket that ``--s3`` names and the AWS_* variables lead to.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from common import CHECKOUT, SAMPLE, machine, table
from running import KEY, Running, await_task, family, origin, running, submit

MIB = 1024**2
#: No transfer may need this much more, whatever its size.
LIMIT_MIB = 150
_BORDER = "7d1f0b2c"


def make_blob(path: Path, size_bytes: int) -> Path:
    """A file of noise, no two MiB the same."""
    noise = os.urandom(MIB)
    with path.open("wb") as file:
        for number in range(size_bytes // MIB):
            file.write(number.to_bytes(8) + noise[8:])
    return path


def call(
    base: str, method: str, path: str, body: Iterator[bytes], length: int, **headers: str
) -> http.client.HTTPResponse:
    """A request with a body that is never whole in memory; its answer, read."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=3600)
    given = {"Authorization": f"Bearer {KEY}", "Content-Length": str(length)}
    connection.request(method, path, body, given | {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    return answer


def pieces(path: Path) -> Iterator[bytes]:
    """A file, a MiB at a time."""
    with path.open("rb") as file:
        while piece := file.read(MIB):
            yield piece


def form(path: Path, fields: dict[str, str]) -> tuple[Iterator[bytes], int]:
    """A form with these fields and the file, and its length."""
    head = ""
    for name, value in fields.items():
        head += f'--{_BORDER}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    head += f'--{_BORDER}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'
    tail = f"\r\n--{_BORDER}--\r\n"

    def parts() -> Iterator[bytes]:
        yield head.encode()
        yield from pieces(path)
        yield tail.encode()

    return parts(), len(head) + path.stat().st_size + len(tail)


def by_tus(server: Running, blob: Path) -> None:
    """One PATCH."""
    size = blob.stat().st_size
    told = {"Tus_Resumable": "1.0.0", "Upload_Length": f"{size}"}
    begun = call(server.base, "POST", "/dashscribe/v1/uploads", iter(()), 0, **told)
    kind = {"Tus_Resumable": "1.0.0", "Upload_Offset": "0", "Content_Type": "application/offset+octet-stream"}
    place = urlsplit(begun.headers["location"]).path
    assert call(server.base, "PATCH", place, pieces(blob), size, **kind).status == 204


def by_policy(server: Running, blob: Path) -> None:
    """The credential, then its form."""
    with server.client() as client:
        data = client.get("/api/v1/uploads", params={"action": "getPolicy", "model": "fun-asr"}).json()["data"]
    fields = {"policy": data["policy"], "Signature": data["signature"], "key": f"{data['upload_dir']}/{blob.name}"}
    fields |= {"OSSAccessKeyId": data["oss_access_key_id"], "x-oss-object-acl": data["x_oss_object_acl"]}
    fields |= {"x-oss-forbid-overwrite": data["x_oss_forbid_overwrite"], "success_action_status": "200"}
    body, length = form(blob, fields)
    kind = f"multipart/form-data; boundary={_BORDER}"
    assert call(server.base, "POST", urlsplit(data["upload_host"]).path, body, length, Content_Type=kind).status == 200


def by_form(server: Running, blob: Path) -> None:
    """OpenAI's call, which finds no sound in it."""
    body, length = form(blob, {"model": "whisper-1"})
    kind = f"multipart/form-data; boundary={_BORDER}"
    assert call(server.base, "POST", "/v1/audio/transcriptions", body, length, Content_Type=kind).status == 400


def by_url(server: Running, blob: Path) -> None:
    """A task with the blob as its source, which fails once it lies in the store."""
    with origin(blob.parent) as base, server.client() as client:
        task = submit(client, f"{base}/{blob.name}")
        while client.get(f"/api/v1/tasks/{task}").json()["output"]["task_status"] in ("PENDING", "RUNNING"):
            time.sleep(0.5)


def as_result(server: Running, blob: Path, put: Callable[[str, Path], None], home: Path) -> Callable[[], None]:
    """Make the blob the result of a task; what downloads it."""
    with origin(SAMPLE.parent) as base, server.client() as client:
        output = await_task(client, submit(client, f"{base}/{SAMPLE.name}"))
    with sqlite3.connect(home / "dashscribe.db") as connection:
        (key,) = connection.execute("SELECT result_key FROM files WHERE state = 'succeeded'").fetchone()
    put(key, blob)
    (result,) = output["results"]  # type: ignore[misc]
    url = urlsplit(result["transcription_url"])

    def download() -> None:
        connection = http.client.HTTPConnection(url.netloc, timeout=3600)
        connection.request("GET", f"{url.path}?{url.query}")
        answer, size = connection.getresponse(), 0
        while piece := answer.read(MIB):
            size += len(piece)
        assert size == blob.stat().st_size

    return download


def resident_mib(process: psutil.Process, name: str) -> float:
    """``VmRSS`` or ``VmHWM`` of a process."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def measured(server: Running, transfer: Callable[[], None]) -> tuple[float, float, float]:
    """MiB more in the server, MiB of its largest child, seconds."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before, begin_s = resident_mib(server.process, "VmRSS"), time.perf_counter()
    transfer()
    wall_s = time.perf_counter() - begin_s
    children = [resident_mib(child, "VmHWM") for child in family(server.process) if child.pid != server.process.pid]
    return resident_mib(server.process, "VmHWM") - before, max(children, default=0.0), wall_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=2.0)
    parser.add_argument("--store", choices=("folder", "s3"), default="folder")
    parser.add_argument("--s3", default="", help="a bucket to use instead of a server of our own")
    parser.add_argument("--only", default="", help="one way: tus, policy and form, form of a call, source URL, result")
    options = parser.parse_args()
    rows: list[tuple[str, float, float, float]] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transfers-")))
        settings = {"DASHSCRIBE_ENGINE": "standin"}
        if options.store == "s3":
            settings["DASHSCRIBE_STORE_URL"] = options.s3 or _bucket(stack)
        blob = make_blob(folder / "blob.bin", round(options.gb * 1024) * MIB)
        home = folder / "home"
        home.mkdir()

        def put(key: str, path: Path) -> None:
            from dashscribe.config import Settings
            from dashscribe.store import open_store

            url = settings.get("DASHSCRIBE_STORE_URL", "")
            open_store(Settings(home=folder / "other", store_url=url or (home / "store").as_uri())).put(key, path)

        with running(home, **settings) as server:
            ways = {"tus": by_tus, "policy and form": by_policy, "form of a call": by_form, "source URL": by_url}
            if options.only in ("", "result"):
                download = as_result(server, blob, put, home)
                ways["result"] = lambda server, blob: download()
            for name, way in ways.items():
                if options.only in ("", name):
                    rows.append((name, *measured(server, lambda: way(server, blob))))  # noqa: B023
    size_mib = round(options.gb * 1024)
    print(f"{machine()}; {options.gb:g} GiB, {options.store}; load {psutil.getloadavg()[0]:.0f}")
    heads = ("way", f"MiB more (goal {LIMIT_MIB})", "largest child MiB", "MiB/s")
    print(table(heads, [(n, f"{more:.0f}", f"{child:.0f}", f"{size_mib / s:.0f}") for n, more, child, s in rows]))
    if too_much := [name for name, more, *_ in rows if more > LIMIT_MIB]:
        raise SystemExit(f"more than {LIMIT_MIB} MiB: {', '.join(too_much)}")


def _bucket(stack: ExitStack) -> str:
    sys.path.insert(0, str(CHECKOUT / "tests"))
    import object_store

    if reason := object_store.missing():
        raise SystemExit(f"{reason}, or name a bucket with --s3")
    store = stack.enter_context(object_store.running())
    os.environ.update(store.environment())
    return f"s3://{store.make_bucket()}/transfers"


if __name__ == "__main__":
    main()
