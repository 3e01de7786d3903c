"""The checks of ``dashscribe doctor``, each a function that looks and changes nothing, running servers included.

What a check finds is told with the remedy. The order is that of dependence: what stands first may explain what follows.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import socket
import stat
import wave
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import httpx

from dashscribe import conformance, weights
from dashscribe.catalog import find_model
from dashscribe.choice import choose_engine
from dashscribe.cli import database_check
from dashscribe.cli.findings import ASK_S, Check, Finding, Patient
from dashscribe.cli.usable import unusable
from dashscribe.config import Settings, config_file
from dashscribe.engines.sherpa import untried_batches
from dashscribe.errors import DashscribeError
from dashscribe.redact import redact
from dashscribe.store import StoreError, open_store
from dashscribe.store.folder import Folder
from dashscribe.types import SAMPLES_PER_MS, Fate, Options, Span, Window
from dashscribe.weights.shelf import Shelf

#: How much sound the engine gets, in milliseconds.
SOUND_MS = 500
#: What the containers hold that the service takes (api-async section 1.3), by FFmpeg's names.
CODECS = frozenset(
    {"aac", "alac", "amrnb", "amrwb", "flac", "mp2", "mp3", "opus", "pcm_alaw", "pcm_mulaw", "pcm_s16le", "speex"}
    | {"vorbis", "wmav1", "wmav2"}
)
#: Variables that are no settings but have a meaning.
_OTHER_VARIABLES = frozenset({"DASHSCRIBE_CONFIG", "DASHSCRIBE_DEBUG"})
_GIB = 1024**3


def examine(patient: Patient) -> Iterator[Finding]:
    """Every finding, as it comes; a check that fails in a way nobody foresaw is one, too."""
    for name, check in CHECKS.items():
        try:
            for finding in check(patient):
                if finding.status == "fail":
                    patient.failed.add(finding.name)
                yield finding
        except Exception as error:  # the others are still to be told
            remedy = "mend what fails above first; if nothing does, this is a bug"
            yield Finding(name, "fail", f"{type(error).__name__}: {error}", remedy)


def python() -> Finding:
    """What runs; needs no settings."""
    return Finding("python", "ok", f"{platform.python_version()}, dashscribe {version('dashscribe')}")


def _variables(patient: Patient) -> Iterator[Finding]:
    """Settings were read before, by their types; a misspelled variable, unlike a key of the file, is seen only here."""
    names = {f"DASHSCRIBE_{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    ours = {
        name for name in os.environ if name.startswith("DASHSCRIBE_") and not name.startswith("DASHSCRIBE_STANDIN_")
    }
    for name in sorted(ours - names):
        near = get_close_matches(name, names, 1)
        remedy = f"did you mean {near[0]}?" if near else "unset it; `dashscribe config` lists all there are"
        yield Finding("settings", "warn", f"the variable {name} has no effect", remedy)
    for error in unusable(patient.settings):
        yield Finding("settings", "fail", redact(str(error)), "correct it: `dashscribe serve` does not start with it")
    file = config_file()
    there = "" if file.is_file() else " (does not exist)"
    yield Finding("settings", "ok", f"{len(ours & names)} from the environment, others from {file}{there}")


def _home(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    home, reserve_bytes = settings.home, settings.disk_reserve_bytes
    folder = _nearest(home)
    try:
        # A file without a name: nobody sees it, and nothing is left of it.
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield Finding("home", "fail", f"{folder} cannot be written: {error.strerror or error}", _other_home(folder))
        return
    free_bytes = shutil.disk_usage(folder).free
    detail = f"{home}, {free_bytes / _GIB:.1f} GiB free, {reserve_bytes / _GIB:.1f} in reserve"
    if not home.exists():
        detail += "; it does not exist yet, the first `dashscribe serve` makes it"
    if free_bytes < reserve_bytes:
        remedy = "free some disk, or lower DASHSCRIBE_DISK_RESERVE_BYTES: until then no task is prepared"
        yield Finding("home", "fail", detail, remedy)
    elif free_bytes < 2 * reserve_bytes:
        yield Finding("home", "warn", detail, "free some disk: below the reserve no task is prepared")
    else:
        yield Finding("home", "ok", detail)
    yield from _open_to_others("home", home)


def _open_to_others(name: str, folder: Path) -> Iterator[Finding]:
    """A warning about a folder that not only its user and group can look into."""
    rights = stat.S_IMODE(folder.stat().st_mode) if folder.exists() else 0
    if rights & 0o005:
        detail = f"{folder} can be read by others on this machine (rights {rights:04o})"
        yield Finding(name, "warn", detail, f"chmod 700 {shlex.quote(str(folder))}, unless that is wanted")


def _other_home(folder: Path) -> str:
    return f"make {folder} writable for this user, or set DASHSCRIBE_HOME to a folder that is"


def _nearest(path: Path) -> Path:
    """The folder itself, or the closest one above it that exists."""
    while not path.exists():
        path = path.parent
    return path


def _store(patient: Patient) -> Iterator[Finding]:
    try:
        store = open_store(patient.settings)
    except DashscribeError as error:
        yield Finding("store", "fail", str(error), "correct DASHSCRIBE_STORE_URL")
        return
    try:
        if isinstance(store, Folder) and (known := database_check.store_id(patient)):
            store.marker.expect(known)
        store.check_writable()
    except StoreError as error:
        reason, _, remedy = str(error.strerror).rpartition(": ")
        yield Finding("store", "fail", f"{store.where()}: {reason}", remedy)
    except OSError as error:
        remedy = "make it writable for this user, or set DASHSCRIBE_STORE_URL"
        yield Finding("store", "fail", f"{store.where()} cannot be written: {error.strerror or error}", remedy)
    else:
        yield Finding("store", "ok", store.where())
        if isinstance(store, Folder) and not store.root.is_relative_to(patient.settings.home):
            yield from _open_to_others("store", store.root)


def _keys(patient: Patient) -> Iterator[Finding]:
    count = database_check.number(patient, "SELECT count(*) FROM keys WHERE revoked_ms IS NULL")
    configured = patient.settings.api_key is not None
    if "database" in patient.failed:
        yield Finding("keys", "warn", "they are in the database", "mend the database first")
    elif count is None and not configured:
        yield Finding("keys", "ok", "none yet, the first `dashscribe serve` makes and shows one")
    elif not count and not configured:
        yield Finding("keys", "warn", "there is no key that works", "dashscribe keys create")
    else:
        beside = ", and DASHSCRIBE_API_KEY" if configured else ""
        yield Finding("keys", "ok", f"{count or 0} in the database{beside}")


def _clock(patient: Patient) -> Iterator[Finding]:
    name, now = patient.settings.time_zone, datetime.now(UTC)
    try:
        there = now.astimezone(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        yield Finding(
            "clock", "fail", f"there is no time zone {name!r}", "set DASHSCRIBE_TIME_ZONE, as in Asia/Shanghai"
        )
        return
    last_ms = database_check.number(patient, "SELECT max(ended_ms) FROM tasks") or 0
    ahead_s = last_ms / 1000 - now.timestamp()
    if now.year < 2025 or ahead_s > 60:
        why = f"a task ended {ahead_s:.0f} s later than it is now" if ahead_s > 60 else "it is long past"
        yield Finding("clock", "warn", f"it says {now:%Y-%m-%d %H:%M} UTC, but {why}", "set the clock; use NTP")
    else:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC; on the wire {there:%H:%M}, {name}")


def _isolation(patient: Patient) -> Iterator[Finding]:
    lacking = {
        "network": ("shared", "the system refuses both network namespaces and filters of system calls"),
        "ends_with_parent": ("by the closed pipe only", "run it on Linux"),
        "new_privileges": ("possible", "run it on Linux"),
        "memory_bytes": ("unlimited", "the system refuses the limit"),
        "written_bytes": ("unlimited", "the system refuses the limit"),
        "capabilities": ("kept", "run it on Linux, and not as root"),
        "readable_files": ("readable", "files of the server's user are in reach: run it on Linux 5.13 or newer"),
        "system_calls": ("unfiltered", "run it on Linux with seccomp, on x86-64 or 64-bit ARM"),
    }
    measures = patient.hosts.isolation()
    weak = {name: value for name, value in measures.items() if value.startswith(lacking.get(name, ("\0",))[0])}
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in measures.items())
    remedy = "; ".join(lacking[name][1] for name in weak)
    yield Finding("isolation", "warn" if weak else "ok", f"of processes that decode: {told}", remedy)


def _codecs(patient: Patient) -> Iterator[Finding]:
    found = patient.hosts.codecs()
    missing = ", ".join(sorted(CODECS - found))
    if missing:
        remedy = "install PyAV's own wheel, whose FFmpeg has them: pip install --force-reinstall --only-binary :all: av"
        yield Finding("codecs", "fail", f"FFmpeg lacks {missing}", remedy)
    else:
        yield Finding(
            "codecs", "ok", f"FFmpeg decodes {len(found)}, {', '.join(sorted(CODECS)[:5])} and so on among them"
        )


def _models(patient: Patient) -> Iterator[Finding]:
    folder = patient.settings.resolved_models_dir
    names = Shelf(folder).names()
    if not names:
        yield Finding("models", "ok", f"none in {folder}; the embedded engine reads English")
    for name in names:
        try:
            model = weights.read_card(folder / name)
            model.check()
        except DashscribeError as error:
            remedy = f"`dashscribe models verify {name}` tells more; `dashscribe models rm {name}` removes it"
            yield Finding("models", "fail", f"{name}: {error}", remedy)
        else:
            yield Finding("models", "ok", f"{name}, {model.family} {model.digest}")


def _engine(patient: Patient) -> Iterator[Finding]:
    """Load the engine that ``fun-asr`` would use without hints, and have it hear half a second."""
    settings = patient.settings
    try:
        info = choose_engine(find_model("fun-asr"), (), settings, {})
    except DashscribeError as error:
        yield Finding("engine", "fail", str(error), "`dashscribe models ls` shows what each model needs")
        return
    if info.remote:
        yield Finding("engine", "ok", f"{info.name}, which asks the endpoint")
        return
    window = Window(0, 0, (Span(0, SOUND_MS),), _half_a_second(), packed=False)
    try:
        (outcome,) = patient.hosts.recognize(info.name, window, Options())
        reason = outcome.reason if outcome.fate is Fate.FAILED else ""
    except DashscribeError as error:
        reason = str(error)
    if reason:
        remedy = f"dashscribe models verify {info.weights}" if info.weights else f"pip install -U {info.package}"
        yield Finding("engine", "fail", f"{info.name} does not recognize: {reason}", remedy)
    elif info.weights in untried_batches(settings):
        what = f"{info.name} heard half a second, but decodes piece by piece, which makes a GPU several times slower"
        yield Finding("engine", "warn", what, f"dashscribe models verify {info.weights}")
    else:
        yield Finding("engine", "ok", f"{info.name}, for fun-asr, heard half a second")


def _half_a_second() -> bytes:
    """From the middle of the built-in utterance: int16, 16 kHz, mono."""
    with wave.open(str(Path(conformance.__file__).parent / "speech.wav")) as file:
        file.setpos(file.getnframes() // 2)
        return file.readframes(SOUND_MS * SAMPLES_PER_MS)


def _port(patient: Patient) -> Iterator[Finding]:
    host, port = patient.host, patient.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as `serve` does
            probe.bind((host, port))
    except OSError as error:
        if _is_ours(host, port):
            yield Finding("port", "ok", f"a server of dashscribe answers on {host} port {port}")
        else:
            remedy = "end what uses it, or start with `dashscribe serve --port` and another one"
            yield Finding("port", "warn", f"{host} port {port}: {error.strerror or error}", remedy)
    else:
        yield Finding("port", "ok", f"{host} port {port} is free")


def _is_ours(host: str, port: int) -> bool:
    name = f"[{host}]" if ":" in host else host
    try:
        answer = httpx.get(f"http://{name}:{port}/healthz", timeout=ASK_S, trust_env=False)
        return answer.json().get("service") == "dashscribe"
    except (httpx.HTTPError, ValueError, AttributeError):
        return False


def _endpoint(patient: Patient) -> Iterator[Finding]:
    settings = patient.settings
    url = settings.openai_url
    if not url:
        return
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    loopback = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{url}/models", headers=headers, timeout=ASK_S, trust_env=not loopback)
    except httpx.HTTPError as error:
        remedy = "start it, or correct DASHSCRIBE_OPENAI_URL; until then other engines do its work"
        yield Finding("endpoint", "fail", f"{url}: {error or type(error).__name__}", remedy)
        return
    if answer.status_code in (401, 403):
        detail = f"{url} refuses the key ({answer.status_code})"
        yield Finding("endpoint", "fail", detail, "set DASHSCRIBE_OPENAI_API_KEY")
    elif answer.status_code != 200:
        detail = f"{url} is there, but answers {answer.status_code} to /models"
        yield Finding("endpoint", "warn", detail, "the base URL ends with /v1 at most servers")
    else:
        yield from _offered(url, settings.openai_model, answer)


def _offered(url: str, wanted: str, answer: httpx.Response) -> Iterator[Finding]:
    """Whether the endpoint has the model."""
    try:
        names = [str(row["id"]) for row in answer.json()["data"]]
    except (ValueError, KeyError, TypeError):
        yield Finding("endpoint", "ok", f"{url} answers")
        return
    if wanted in names:
        yield Finding("endpoint", "ok", f"{url} has {wanted}")
    else:
        detail = f"{url} lists no {wanted}, but {_some(names)}"
        yield Finding("endpoint", "warn", detail, "set DASHSCRIBE_OPENAI_MODEL")


def _some(names: Sequence[str], shown: int = 4) -> str:
    return (", ".join(names[:shown]) + (" …" if len(names) > shown else "")) or "none"


CHECKS: Mapping[str, Check] = {
    "settings": _variables,
    "home": _home,
    "database": database_check.database,
    "store": _store,
    "keys": _keys,
    "clock": _clock,
    "port": _port,
    "isolation": _isolation,
    "codecs": _codecs,
    "models": _models,
    "engine": _engine,
    "endpoint": _endpoint,
}
