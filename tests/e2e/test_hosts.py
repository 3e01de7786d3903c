"""Child processes: native code may crash, hang, leak or lie, and the program and its other work go on."""

from __future__ import annotations

import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import fault_engines
import numpy as np
import psutil
import pytest

from dashscribe.config import Settings
from dashscribe.decode import encode_flac
from dashscribe.engines import ENGINES
from dashscribe.errors import EngineUnavailableError, HostDiedError, HostError, HostTimeoutError, InvariantError
from dashscribe.errors.sources import DurationTooLongError, NoSuchChannelError, SourceError
from dashscribe.hosts import BATCH_NICE, EXPRESS_NICE, Bounds, Hosts
from dashscribe.hosts.protocol import CutEnd, Position
from dashscribe.types import Fate, Limits, Media, Options, Outcome, Span, Window

HERE = Path(__file__).parent
OPTIONS = Options()
#: Generous on a busy machine; nothing here is about speed.
SOON_S = 120.0


#: Children that were there when the test began.
_before: set[int] = set()


@pytest.fixture(autouse=True)
def faults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, info in fault_engines.engine_infos().items():
        monkeypatch.setitem(ENGINES, name, info)
    _before.clear()
    _before.update(child.pid for child in children())


@pytest.fixture
def settings() -> Settings:
    return Settings()


@pytest.fixture
def hosts(settings: Settings) -> Iterator[Hosts]:
    with Hosts(settings, slots=1) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def lasting() -> Iterator[Hosts]:
    """For tests that leave the children as they are: one of each kind does for all of them."""
    with Hosts(Settings(), slots=1) as hosts:
        yield hosts


def window(*begins_ms: int, length_ms: int = 500) -> Window:
    """Spans of half a second; the samples of span i are all i + 1."""
    spans = tuple(Span(begin_ms, begin_ms + length_ms) for begin_ms in begins_ms or (0,))
    samples = np.repeat(np.arange(1, len(spans) + 1, dtype=np.int16), length_ms * 16)
    return Window(0, 0, spans, encode_flac(samples))


def ask(hosts: Hosts, command: str = "", engine: str = "fault", *, express: bool = False) -> list[int]:
    """Who recognized: process id, niceness, first sample."""
    (outcome,) = hosts.recognize(engine, window(), Options(context=command), express=express)
    return [int(number) for number in outcome.sentences[0].text.split()]


def children(of: int | None = None) -> list[psutil.Process]:
    return [p for p in psutil.Process(of).children() if p.pid not in _before and _is_host_child(p)]


def _is_host_child(process: psutil.Process) -> bool:
    try:
        return "dashscribe.hosts.child" in process.cmdline()
    except psutil.NoSuchProcess:  # gone, or ended and not yet collected by its parent
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < until_s, "it did not happen in time"
        time.sleep(0.02)


def ended(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


# --- one engine child -----------------------------------------------------------------------------------------------


def test_a_child_is_reused_by_the_next_call(lasting: Hosts) -> None:
    first = ask(lasting)
    assert first[0] != os.getpid()
    assert ask(lasting) == first


def test_every_span_gets_its_own_sound_and_its_outcome_in_order(lasting: Hosts) -> None:
    outcomes = list(lasting.recognize("fault", window(1_000, 9_000, 70_000), OPTIONS))
    assert [outcome.span for outcome in outcomes] == [Span(1_000, 1_500), Span(9_000, 9_500), Span(70_000, 70_500)]
    assert [outcome.sentences[0].text.split()[-1] for outcome in outcomes] == ["1", "2", "3"]


def test_a_window_can_be_taken_up_in_its_middle(lasting: Hosts) -> None:
    outcomes = list(lasting.recognize("fault", window(1_000, 9_000, 70_000), OPTIONS, first=1))
    assert [outcome.span for outcome in outcomes] == [Span(9_000, 9_500), Span(70_000, 70_500)]
    assert [outcome.sentences[0].text.split()[-1] for outcome in outcomes] == ["2", "3"]


def test_an_outcome_arrives_before_the_next_span_is_recognized(lasting: Hosts, tmp_path: Path) -> None:
    (tmp_path / "door-0").touch()
    outcomes = lasting.recognize("fault", window(0, 1_000), Options(context=f"meet {tmp_path}"))
    assert next(outcomes).span.begin_ms == 0
    (tmp_path / "door-1000").touch()
    assert next(outcomes).span.begin_ms == 1_000
    assert list(outcomes) == []


def test_an_exception_of_the_engine_fails_its_span_only(lasting: Hosts) -> None:
    outcomes = list(lasting.recognize("fault", window(0, 1_000, 2_000), Options(context="fail_at 1000")))
    assert [outcome.fate for outcome in outcomes] == [Fate.TRANSCRIBED, Fate.FAILED, Fate.TRANSCRIBED]
    assert outcomes[1].reason == "ValueError: this span is not to my taste"
    assert outcomes[1].span == Span(1_000, 1_500)


def test_an_engine_that_returns_too_few_outcomes_fails_the_span(lasting: Hosts) -> None:
    (outcome,) = lasting.recognize("fault", window(), Options(context="nothing"))
    assert outcome.fate is Fate.FAILED


def test_audio_that_does_not_fit_its_spans_is_refused_and_the_child_lives_on(lasting: Hosts) -> None:
    before = ask(lasting)
    short = window(0)
    with pytest.raises(InvariantError, match="8000 samples, its spans need 16000"):
        list(lasting.recognize("fault", Window(0, 0, (Span(0, 1_000),), short.audio), OPTIONS))
    assert ask(lasting) == before


def test_the_engine_is_opened_with_the_settings_of_the_parent(tmp_path: Path) -> None:
    with Hosts(Settings(home=tmp_path / "elsewhere"), slots=1) as hosts:
        (outcome,) = hosts.recognize("fault", window(), Options(context="say_home"))
        assert outcome.reason == f"RuntimeError: {tmp_path / 'elsewhere'}"


def test_chatter_of_native_code_does_not_reach_the_terminal(hosts: Hosts, capfd: pytest.CaptureFixture[str]) -> None:
    before = ask(hosts)
    assert ask(hosts, "shout") == before
    assert capfd.readouterr() == ("", "")


# --- death and silence ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL"])
def test_a_child_killed_by_a_signal_is_named_and_replaced(hosts: Hosts, name: str) -> None:
    before = ask(hosts)
    with pytest.raises(HostDiedError, match=f"fault engine process.*{name}.*the native library is sorry"):
        ask(hosts, f"die {name}")
    assert ask(hosts)[0] != before[0]


def test_a_real_segmentation_fault_costs_one_call(hosts: Hosts) -> None:
    with pytest.raises(HostDiedError, match="SIGSEGV"):
        ask(hosts, "read_null")
    ask(hosts)


def test_engine_that_gives_up_ends_its_child_with_the_reason_and_the_next_call_has_another(hosts: Hosts) -> None:
    before, *_ = ask(hosts)
    with pytest.raises(HostDiedError, match=r"status 1 .*the GPU is lost"):
        ask(hosts, "give_up")
    after, *_ = ask(hosts)
    assert after != before


def test_a_child_that_exits_is_named_with_its_status(hosts: Hosts) -> None:
    with pytest.raises(HostDiedError, match="exited with status 255"):
        ask(hosts, "leave 255")
    ask(hosts)


def test_a_child_that_died_while_idle_costs_nothing(hosts: Hosts) -> None:
    pid = ask(hosts)[0]
    os.kill(pid, signal.SIGKILL)
    # Not before its last thread is gone can it be waited for, though /proc calls it a zombie earlier.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ask(hosts)[0] != pid


class _LateTimer(threading.Timer):
    """One that fires just before it is called off, as on a machine that had no time for it before."""

    def cancel(self) -> None:
        if not self.finished.is_set():
            self.function(*self.args, **self.kwargs)
        super().cancel()


def test_a_limit_that_passes_as_the_answer_comes_costs_nobody_the_child(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscribe.hosts.parent.threading.Timer", _LateTimer)
    first, _, _ = ask(hosts)
    assert ask(hosts)[0] == first


@pytest.mark.parametrize("command", ["hang", "write_reply 5 0", "write_reply 5 2"])
def test_silence_ends_the_child_and_the_next_call_works(settings: Settings, command: str) -> None:
    with Hosts(settings, slots=1, bounds=Bounds(speech_s=1.0, per_speech_s=0.0)) as hosts:
        with pytest.raises(HostTimeoutError, match="no sign for 1 s"):
            ask(hosts, command)
        assert children() == []
        hosts._bounds = Bounds()  # the next one need not be quick
        ask(hosts)


@pytest.mark.parametrize("command", ["write_reply 5 5", f"write_reply {2**31 - 1} 5", "write_reply -7 5"])
def test_a_message_that_is_none_ends_the_child(hosts: Hosts, command: str) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        ask(hosts, command)
    assert children() == []
    ask(hosts)


# --- opening an engine ----------------------------------------------------------------------------------------------


def test_an_engine_that_fails_to_load_says_why(hosts: Hosts) -> None:
    with pytest.raises(EngineUnavailableError, match="'fail' failed to load: RuntimeError: the weights are torn"):
        ask(hosts, engine="fail")
    assert children() == []


def test_an_engine_whose_library_is_missing_is_unavailable(hosts: Hosts) -> None:
    with pytest.raises(EngineUnavailableError, match="a_library_that_is_not_installed"):
        ask(hosts, engine="lack")


def test_an_engine_whose_package_is_missing_names_the_remedy(hosts: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setitem(ENGINES, "fault", replace(ENGINES["fault"], package="nowhere_to_be_found"))
    with pytest.raises(EngineUnavailableError, match="pip install nowhere_to_be_found"):
        ask(hosts)
    assert children() == []


def test_a_library_that_exits_while_loading_is_quoted(hosts: Hosts) -> None:
    with pytest.raises(HostDiedError, match=r"status 255.*vocab_size is missing"):
        ask(hosts, engine="vanish")


def test_loading_has_its_own_limit(settings: Settings) -> None:
    with (
        Hosts(settings, slots=1, bounds=Bounds(load_s=1.0)) as hosts,
        pytest.raises(HostTimeoutError, match="no sign for 1 s"),
    ):
        ask(hosts, engine="dawdle")


# --- slots ----------------------------------------------------------------------------------------------------------


def at_work(folder: Path) -> int:
    return len(list(folder.glob("at-*")))


def test_slots_bound_what_runs_at_once_for_all_engines_together(settings: Settings, tmp_path: Path) -> None:
    with Hosts(settings, slots=2) as hosts, ThreadPoolExecutor(4) as threads:
        engines = ["fault", "fault-two", "fault", "fault-two"]
        calls = [threads.submit(ask, hosts, f"meet {tmp_path}", engine) for engine in engines]
        wait_until(lambda: at_work(tmp_path) == 2)
        time.sleep(1.0)
        assert at_work(tmp_path) == 2
        (tmp_path / "door-0").touch()
        assert all(call.result(SOON_S) for call in calls)


def test_slots_are_given_in_the_order_of_the_calls(settings: Settings, tmp_path: Path) -> None:
    served: list[int] = []

    def wait_in_row(number: int) -> None:
        for _ in hosts.recognize("fault", window(), OPTIONS, stop=threading.Event()):
            served.append(number)

    with Hosts(settings, slots=1) as hosts, ThreadPoolExecutor(9) as threads:
        first = threads.submit(ask, hosts, f"meet {tmp_path}")
        wait_until(lambda: at_work(tmp_path) == 1)
        row: list[Future[None]] = []
        for number in range(8):
            row.append(threads.submit(wait_in_row, number))
            wait_until(lambda: hosts.activity().places["batch"].waiting == len(row))
        (tmp_path / "door-0").touch()
        assert first.result(SOON_S)
        for call in row:
            call.result(SOON_S)
    assert served == list(range(8))


def test_an_express_call_gets_through_when_all_slots_are_busy(settings: Settings, tmp_path: Path) -> None:
    with Hosts(settings, slots=1, express_slots=1) as hosts, ThreadPoolExecutor(1) as threads:
        batch = threads.submit(ask, hosts, f"meet {tmp_path}")
        wait_until(lambda: at_work(tmp_path) == 1)
        express = ask(hosts, express=True)
        assert not batch.done()
        (tmp_path / "door-0").touch()
        own = os.nice(0)
        assert express[1] == min(own + EXPRESS_NICE, 19)
        assert batch.result(SOON_S)[1] == min(own + BATCH_NICE, 19)


def test_express_calls_may_use_batch_slots_too(settings: Settings, tmp_path: Path) -> None:
    with Hosts(settings, slots=1, express_slots=1) as hosts, ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(ask, hosts, f"meet {tmp_path}", express=True) for _ in range(2)]
        wait_until(lambda: at_work(tmp_path) == 2)
        (tmp_path / "door-0").touch()
        assert len({call.result(SOON_S)[0] for call in calls}) == 2


def test_a_call_that_is_given_up_frees_its_slot_and_kills_its_child(hosts: Hosts) -> None:
    outcomes = hosts.recognize("fault", window(0, 1_000, 2_000), OPTIONS)
    pid = int(next(outcomes).sentences[0].text.split()[0])
    with closing(hosts.recognize("fault", window(0, 1_000), Options(context="fail_at 0"))):
        pass  # never started: it holds nothing
    slow = Options(context="hang")
    outcomes.close()
    waiting = hosts.recognize("fault", window(), slow)
    threading.Timer(0.5, hosts.close).start()
    with pytest.raises(HostError):
        next(waiting)
    wait_until(lambda: ended([pid]))


def test_a_caller_who_takes_all_outcomes_but_not_the_end_keeps_the_child(
    lasting: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscribe.hosts.parent.ABANDON_S", SOON_S)
    before = ask(lasting)
    with closing(lasting.recognize("fault", window(), OPTIONS)) as outcomes:
        next(outcomes)
    assert ask(lasting) == before


def test_a_child_survives_the_thread_that_started_it(hosts: Hosts) -> None:
    with ThreadPoolExecutor(1) as thread:
        before = thread.submit(ask, hosts).result(SOON_S)
    time.sleep(0.3)
    assert ask(hosts) == before


# --- stopping from another thread -------------------------------------------------------------------------------------


def call(hosts: Hosts, command: str, stop: threading.Event, engine: str = "fault") -> list[Outcome]:
    return list(hosts.recognize(engine, window(), Options(context=command), stop=stop))


def test_stopping_a_recognition_ends_its_child_and_frees_its_slot(hosts: Hosts, tmp_path: Path) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(call, hosts, f"hold {tmp_path / 'stuck'}", stop)
        wait_until(lambda: (tmp_path / "stuck").exists())
        (child,) = children()
        stop.set()
        with pytest.raises(HostError, match="nobody waits"):
            held.result(SOON_S)
    assert ended([child.pid])
    assert ask(hosts)


def test_stopping_a_call_that_waits_for_a_slot_leaves_the_one_that_has_it(hosts: Hosts, tmp_path: Path) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        working = threads.submit(ask, hosts, f"meet {tmp_path}")
        wait_until(lambda: at_work(tmp_path) == 1)
        waiting = threads.submit(call, hosts, "", stop)
        stop.set()
        with pytest.raises(HostError, match="nobody waits"):
            waiting.result(SOON_S)
        (tmp_path / "door-0").touch()
        assert working.result(SOON_S)


def test_stopping_ends_an_engine_that_is_still_loading(hosts: Hosts) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(call, hosts, "", stop, "dawdle")
        wait_until(lambda: len(children()) == 1)
        stop.set()
        with pytest.raises(HostError, match="nobody waits"):
            loading.result(SOON_S)
    wait_until(lambda: children() == [])
    assert ask(hosts)


def test_stopping_a_cut_ends_it(hosts: Hosts, wav: Callable[..., Path]) -> None:
    stop = threading.Event()
    found = hosts.cut(wav(np.tile(voice(10), 30)), url="a.wav", options=OPTIONS, limits=Limits(), stop=stop)
    assert isinstance(next(found), Media)
    (child,) = children()
    stop.set()
    with pytest.raises(HostError, match="nobody waits"):
        list(found)
    assert ended([child.pid])


def test_a_call_that_was_stopped_before_it_began_starts_no_child(hosts: Hosts) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(HostError, match="nobody waits"):
        call(hosts, "", stop)
    assert children() == []


# --- the end of a child ---------------------------------------------------------------------------------------------


def test_a_child_above_the_memory_ceiling_is_replaced(settings: Settings) -> None:
    ceiling = settings.model_copy(update={"host_memory_mb": 400})
    with Hosts(ceiling, slots=1) as hosts:
        small = ask(hosts)
        assert ask(hosts) == small
        assert ask(hosts, "eat 500") == small
        assert ask(hosts)[0] != small[0]


def test_an_old_child_is_replaced(settings: Settings) -> None:
    with Hosts(settings, slots=1, bounds=Bounds(age_s=0.0)) as hosts:
        assert ask(hosts)[0] != ask(hosts)[0]


def test_an_idle_child_is_ended_and_the_next_call_starts_another(settings: Settings) -> None:
    with Hosts(settings.model_copy(update={"host_idle_s": 0.2}), slots=1) as hosts:
        pid = ask(hosts)[0]
        wait_until(lambda: ended([pid]))
        wait_until(lambda: children() == [])
        ask(hosts)


def test_close_ends_idle_and_busy_children_and_wakes_all_callers(settings: Settings, tmp_path: Path) -> None:
    hosts = Hosts(settings, slots=1)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(ask, hosts, f"meet {tmp_path}") for _ in range(2)]
        wait_until(lambda: at_work(tmp_path) == 1)
        hosts.close()
        for call in calls:
            with pytest.raises(HostError, match="closing"):
                call.result(SOON_S)
    assert children() == []
    with pytest.raises(HostError, match="closing"):
        ask(hosts)


# --- the end of the parent ------------------------------------------------------------------------------------------

PARENT = """
import os, signal, sys, threading
from pathlib import Path
import fault_engines, numpy
from dashscribe.config import Settings
from dashscribe.decode import encode_flac
from dashscribe.hosts import Hosts
from dashscribe.types import Options, Span, Window

fault_engines.register()
folder = Path(sys.argv[1])
window = Window(0, 0, (Span(0, 500),), encode_flac(numpy.ones(8000, numpy.int16)))

def ask(hosts, command=""):
    return list(hosts.recognize("fault", window, Options(context=command)))
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a program of its own process group that goes on from the lines above."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PARENT + code, str(tmp_path)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_parent_that_is_killed_leaves_no_child_behind(
    parent: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = parent("""
hosts = Hosts(Settings(), slots=2)
threading.Thread(target=ask, args=(hosts, f"hold {folder / 'stuck'}")).start()
hosts.isolation()
ask(hosts)
(folder / "ready").touch()
signal.pause()
""")
    wait_until(lambda: (tmp_path / "ready").exists() and (tmp_path / "stuck").exists())
    pids = [child.pid for child in children(process.pid)]
    assert len(pids) == 3, "one child stuck in native code, one idle, one for media"
    process.kill()
    process.wait()
    wait_until(lambda: ended(pids))


def test_an_interrupt_of_the_whole_group_leaves_the_children_to_their_parent(
    parent: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = parent("""
signal.signal(signal.SIGINT, lambda *_: (folder / "door-0").touch())
signal.signal(signal.SIGTERM, lambda *_: (folder / "asked").touch())
with Hosts(Settings(), slots=1) as hosts:
    print(len(ask(hosts, f"meet {folder}")))
""")
    wait_until(lambda: at_work(tmp_path) == 1)
    os.killpg(process.pid, signal.SIGTERM)
    wait_until((tmp_path / "asked").exists)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=SOON_S) == ("1\n", "")


def test_ctrl_c_ends_parent_and_children_without_noise_from_the_children(
    parent: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = parent("""
try:
    with Hosts(Settings(), slots=1) as hosts:
        ask(hosts, f"meet {folder}")
except KeyboardInterrupt:
    print("interrupted")
""")
    wait_until(lambda: at_work(tmp_path) == 1)
    pids = [child.pid for child in children(process.pid)]
    assert pids
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=SOON_S) == ("interrupted\n", "")
    wait_until(lambda: ended(pids))


def test_a_parent_that_forgets_to_close_ends_cleanly(parent: Callable[[str], subprocess.Popen[str]]) -> None:
    process = parent("hosts = Hosts(Settings(), slots=1); ask(hosts); print('done')")
    assert process.communicate(timeout=SOON_S) == ("done\n", "")
    assert process.returncode == 0


def start_child(role: str, parent: int) -> tuple[subprocess.Popen[bytes], int]:
    """A child without a Hosts, and the parent's end of its life pipe."""
    requests, replies, life = os.pipe(), os.pipe(), os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "dashscribe.hosts.child",
            f"--role={role}",
            f"--parent={parent}",
            f"--requests={requests[0]}",
            f"--replies={replies[1]}",
            f"--life={life[0]}",
        ],
        pass_fds=[requests[0], replies[1], life[0]],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    for fd in (requests[0], replies[1], life[0], replies[0]):
        os.close(fd)
    return process, life[1]


def test_a_child_whose_life_pipe_closes_ends_although_its_requests_stay_open() -> None:
    process, life = start_child("media", os.getpid())
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    os.close(life)
    assert process.wait(SOON_S) == 1


def test_a_child_that_finds_another_parent_than_it_was_started_by_ends() -> None:
    process, life = start_child("media", 1)
    assert process.wait(SOON_S) == 1
    os.close(life)


# --- media children -------------------------------------------------------------------------------------------------


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Something that voice activity detection takes for speech: a buzz of 120 Hz, shaped by formants, in syllables."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * t + seed) * math.exp(-(((120 * k - 700) / 500) ** 2)) for k in range(1, 30))
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)
    noise = np.random.default_rng(seed).normal(0, 0.05, len(t))
    return np.asarray(3000 * (buzz + noise) * syllables, dtype=np.int16)


@pytest.fixture
def wav(tmp_path: Path) -> Callable[..., Path]:
    """Write channels of int16 samples at 16 kHz to a WAV file."""

    def write(*channels: np.ndarray, name: str = "a.wav") -> Path:
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setnchannels(len(channels))
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(np.stack(channels, axis=1).tobytes())
        return tmp_path / name

    return write


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * 16_000), dtype=np.int16)


def test_probe_tells_what_a_file_is(lasting: Hosts, wav: Callable[..., Path]) -> None:
    media = lasting.probe(wav(silence(2), silence(2)), "http://example.com/a.wav")
    assert media.url == "http://example.com/a.wav"
    assert (media.rate_hz, media.channel_count, media.duration_ms) == (16_000, 2, 2_000)


def test_cut_gives_media_then_windows_then_the_end(lasting: Hosts, wav: Callable[..., Path]) -> None:
    path = wav(np.concatenate([silence(2), voice(10), silence(3)]))
    found = list(lasting.cut(path, url="a.wav", options=OPTIONS, limits=Limits()))
    assert isinstance(found[0], Media)
    end = found[-1]
    assert isinstance(end, CutEnd)
    assert (end.channels, end.begin_ms, end.end_ms, end.lost) == ((0,), 0, 15_000, ())
    assert end.media.duration_ms == 15_000
    windows = [message for message in found if isinstance(message, Window)]
    assert [(w.channel, w.index) for w in windows] == [(0, 0)]
    assert abs(windows[0].spans[0].begin_ms - 2_000) < 500
    assert abs(windows[0].spans[-1].end_ms - 12_000) < 1_500


def test_cut_windows_can_be_recognized(lasting: Hosts, wav: Callable[..., Path]) -> None:
    path = wav(voice(100), np.concatenate([silence(60), voice(40, seed=1)]))
    options = Options(channels=(0, 1))
    windows = [w for w in lasting.cut(path, url="a.wav", options=options, limits=Limits()) if isinstance(w, Window)]
    assert {w.channel for w in windows} == {0, 1}
    assert len([w for w in windows if w.channel == 0]) > 1
    for cut_window in windows:
        outcomes = list(lasting.recognize("standin", cut_window, options))
        assert [outcome.span for outcome in outcomes] == list(cut_window.spans)
        assert all(outcome.fate is Fate.TRANSCRIBED for outcome in outcomes)
        for outcome in outcomes:
            assert all(
                outcome.span.begin_ms <= s.begin_ms and s.end_ms <= outcome.span.end_ms for s in outcome.sentences
            )


def test_silence_gives_no_window_and_no_error(lasting: Hosts, wav: Callable[..., Path]) -> None:
    found = list(lasting.cut(wav(silence(5)), url="a.wav", options=OPTIONS, limits=Limits()))
    assert not any(isinstance(message, Window) for message in found)
    assert isinstance(found[-1], CutEnd)


def test_a_stretch_keeps_the_clock_of_the_file(lasting: Hosts, wav: Callable[..., Path]) -> None:
    path = wav(voice(20))
    options = Options(stretch=Span(5_000, 12_000))
    found = list(lasting.cut(path, url="a.wav", options=options, limits=Limits()))
    end = found[-1]
    assert isinstance(end, CutEnd)
    assert (end.begin_ms, end.end_ms) == (5_000, 12_000)
    windows = [message for message in found if isinstance(message, Window)]
    assert windows
    assert all(5_000 <= span.begin_ms < span.end_ms <= 12_000 for w in windows for span in w.spans)


def test_errors_of_a_source_arrive_as_their_class_and_the_child_lives_on(
    hosts: Hosts, wav: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "text.wav").write_text("no sound in here " * 100)
    with pytest.raises(SourceError):
        hosts.probe(tmp_path / "text.wav", "text.wav")
    (pid,) = [child.pid for child in children()]
    with pytest.raises(SourceError):
        list(hosts.cut(tmp_path / "text.wav", url="text.wav", options=OPTIONS, limits=Limits()))
    with pytest.raises(NoSuchChannelError):
        list(hosts.cut(wav(silence(1)), url="a.wav", options=Options(channels=(3,)), limits=Limits()))
    assert [child.pid for child in children()] == [pid]


def test_a_source_longer_than_the_limit_is_refused(settings: Settings, wav: Callable[..., Path]) -> None:
    with (
        Hosts(settings.model_copy(update={"max_duration_s": 5}), slots=1) as hosts,
        pytest.raises(DurationTooLongError, match="limit of 5 s"),
    ):
        list(hosts.cut(wav(silence(6)), url="a.wav", options=OPTIONS, limits=Limits()))


def test_a_call_may_have_a_lower_limit_but_no_higher_one(settings: Settings, wav: Callable[..., Path]) -> None:
    path = wav(silence(6))
    with Hosts(settings.model_copy(update={"max_duration_s": 10}), slots=1) as hosts:
        with pytest.raises(DurationTooLongError, match=r"limit of 5 s: 6.0 s or more; split it\.$"):
            list(hosts.cut(path, url="a.wav", options=OPTIONS, limits=Limits(), max_duration_ms=5_000))
        assert list(hosts.cut(path, url="a.wav", options=OPTIONS, limits=Limits(), max_duration_ms=6_000))
        with pytest.raises(DurationTooLongError, match=r"limit of 10 s.*DASHSCRIBE_MAX_DURATION_S"):
            list(hosts.cut(wav(silence(11)), url="a.wav", options=OPTIONS, limits=Limits(), max_duration_ms=60_000))


def test_a_mix_is_cut_as_one_track(lasting: Hosts, wav: Callable[..., Path]) -> None:
    options = Options(mix=True, channels=(7,))
    found = list(lasting.cut(wav(silence(6), voice(6)), url="a.wav", options=options, limits=Limits()))
    end = found[-1]
    assert isinstance(end, CutEnd)
    assert (end.channels, end.media.channel_count, end.notes) == ((0,), 2, ())
    assert {message.channel for message in found if isinstance(message, Window)} == {0}


def test_a_source_that_turns_out_longer_than_it_claims_is_refused(settings: Settings, tmp_path: Path) -> None:
    data = bytearray(encode_flac(voice(20)))
    # The number of samples, 36 bits in the STREAMINFO block that follows "fLaC" and a 4-byte header: claim one second.
    data[21] &= 0xF0
    data[22:26] = struct.pack(">I", 16_000)
    (tmp_path / "liar.flac").write_bytes(data)
    with Hosts(settings.model_copy(update={"max_duration_s": 5}), slots=1) as hosts:
        found = hosts.cut(tmp_path / "liar.flac", url="liar.flac", options=OPTIONS, limits=Limits())
        media = next(found)
        assert isinstance(media, Media)
        assert media.duration_ms == 1_000
        with pytest.raises(DurationTooLongError):
            list(found)


def test_closing_a_cut_early_ends_its_work_and_the_next_cut_works(hosts: Hosts, wav: Callable[..., Path]) -> None:
    path = wav(np.tile(voice(10), 30))
    with closing(hosts.cut(path, url="a.wav", options=OPTIONS, limits=Limits())) as found:
        assert isinstance(next(found), Media)
        (pid,) = [child.pid for child in children()]
    wait_until(lambda: ended([pid]))
    assert isinstance(list(hosts.cut(path, url="a.wav", options=OPTIONS, limits=Limits()))[-1], CutEnd)


def test_a_slow_caller_is_no_silence_of_the_child(settings: Settings, wav: Callable[..., Path]) -> None:
    path = wav(np.tile(voice(10), 30))
    with Hosts(settings, slots=1) as hosts:
        hosts.probe(path, "a.wav")  # the child is up before its silence counts
        hosts._bounds = Bounds(media_s=5.0)
        found = hosts.cut(path, url="a.wav", options=OPTIONS, limits=Limits())
        next(found)
        time.sleep(6.0)
        assert isinstance(list(found)[-1], CutEnd)


def test_cut_reports_positions_that_only_grow(lasting: Hosts, wav: Callable[..., Path]) -> None:
    found = list(lasting.cut(wav(np.tile(voice(10), 120)), url="a.wav", options=OPTIONS, limits=Limits()))
    positions = [message.position_ms for message in found if isinstance(message, Position)]
    assert positions, "twenty minutes take longer than half a second to decode and segment"
    assert positions == sorted(positions)
    assert all(0 < position_ms <= 1_200_000 for position_ms in positions)


def test_names_of_files_need_not_be_text(lasting: Hosts, wav: Callable[..., Path], tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"odd-\xff.wav")
    wav(silence(1)).rename(odd)
    assert lasting.probe(odd, str(odd)).duration_ms == 1_000


def test_a_media_child_has_limits_and_says_so(hosts: Hosts) -> None:
    measures = hosts.isolation()
    (child,) = children()
    assert measures["written_bytes"] == "0"
    assert child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_AS)[0] == int(measures["memory_bytes"])
    assert measures["ends_with_parent"] == "by SIGKILL"


def test_a_media_child_has_no_network_where_the_system_permits_that(hosts: Hosts) -> None:
    measures = hosts.isolation()
    if measures["network"] != "none":
        pytest.skip(f"this system leaves the network {measures['network']}")
    (child,) = children()
    assert Path(f"/proc/{child.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()


def test_a_child_inherits_no_open_file_and_no_socket(hosts: Hosts, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)), (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        ask(hosts)
        (child,) = children()
        targets = [str(entry.readlink()) for entry in Path(f"/proc/{child.pid}/fd").iterdir()]
    assert not any("socket" in target or "lock" in target for target in targets), targets
