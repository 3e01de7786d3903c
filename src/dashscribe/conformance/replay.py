"""Sends the calls of cases to a server and compares every answer with what is documented.

Cases are replayed one after another, so that a server with rate limits is not pushed over them; each gives a result as
soon as it is known. An answer that does not come is a finding like any other.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import httpx
from msgspec import UNSET

from dashscribe.conformance.cases import Case, Step
from dashscribe.conformance.checks import MISSING, Finding, examine, find, shown
from dashscribe.conformance.exchange import exchange, is_loopback, open_client
from dashscribe.conformance.origin import Origin
from dashscribe.conformance.sdk import SdkProcess
from dashscribe.conformance.sounds import clip
from dashscribe.conformance.sources import Sources, UnavailableError
from dashscribe.errors import DashscribeError

#: Pause between two questions about a task, in seconds; a query may be made 20 times a second.
POLL_S = 0.2
WAITING = ("PENDING", "RUNNING")
RESOLVE = {"X-DashScope-OssResourceResolve": "enable"}
NO_TASK = "00000000-0000-4000-8000-000000000000"

#: Fields that say how a call ended. Where one is not as expected, it is reported with what was told, and all others of
#: the answer would only repeat it.
FATES = ("status", "raised", "result.status_code", "result[0].status_code")

#: Not the braces of JSON in a text, nor those of a regular expression's count.
_PLACEHOLDER = re.compile(r"\{([a-z][a-z_]*)\}")


class CannotRunError(DashscribeError):
    """Nothing can be said about the server: it does not answer, or refuses the key."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a case ended; ``reason`` says why it was skipped."""

    case: Case
    outcome: Literal["passed", "failed", "skipped"]
    seconds: float
    findings: tuple[Finding, ...] = ()
    reason: str = ""


class Replay:
    """Replays cases against one server; ``connect`` makes one. ``limit_s`` bounds each call, and each task's time."""

    def __init__(self, http: httpx.Client, sdk: SdkProcess, sources: Sources, key: str, limit_s: float) -> None:
        self._http, self._sdk, self._sources = http, sdk, sources
        self._key, self._limit_s = key, limit_s

    def run(self, cases: Iterable[Case]) -> Iterator[Result]:
        """Replay cases in order."""
        for case in cases:
            started = time.monotonic()
            findings: list[Finding] = []
            reason = self._steps(case, findings)
            outcome = "skipped" if reason else "passed"
            if not all(finding.holds for finding in findings):
                outcome = "failed"
            yield Result(case, outcome, time.monotonic() - started, tuple(findings), reason)

    def _steps(self, case: Case, findings: list[Finding]) -> str:
        """Take the steps until one gives no answer, or not what the next ones need; then only those that clean up.

        Gives the reason why a step cannot be taken here, if there is one.
        """
        names: dict[str, str] = {}
        goes_on, reason = True, ""
        for number, step in enumerate(case.steps, 1):
            if goes_on or step.cleans in names:
                try:
                    goes_on = self._step(number, step, names, findings) and goes_on
                except UnavailableError as error:
                    goes_on, reason = False, error.detail
        return reason

    def _step(self, number: int, step: Step, names: dict[str, str], findings: list[Finding]) -> bool:
        """Take one step and keep what it was like; whether the next one can be taken."""
        try:
            document = self._take(step, names)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            got = str(error) or type(error).__name__
            findings.append(Finding(number, "answer", f"an answer within {self._limit_s:g} s", got, False))
            return False
        found = list(examine(document, self._filled(step.expect, names, step), number))
        if wrong := next((finding for finding in found if finding.field in FATES and not finding.holds), None):
            findings.append(replace(wrong, got=f"{wrong.got} {shown(_told(document))}"))
            return False
        findings += found
        for name, path in step.save.items():
            where, value = find(document, path)[0]
            if value is MISSING:
                findings.append(Finding(number, where, "present, the next step needs it", "nothing", False))
                return False
            names[name] = str(value)
        return True

    def _take(self, step: Step, names: dict[str, str]) -> dict[str, Any]:
        """One exchange, or as many as it takes until a task has ended."""
        deadline = time.monotonic() + self._limit_s
        while True:
            document = self._call(step, names) if step.sdk else self._send(step, names)
            if not step.until_ended or find(document, "body.output.task_status")[0][1] not in WAITING:
                return document
            if time.monotonic() > deadline:
                raise TimeoutError(f"the task has not ended after {self._limit_s:g} s")
            time.sleep(POLL_S)

    def _call(self, step: Step, names: dict[str, str]) -> dict[str, Any]:
        arguments = self._filled(step.arguments, names, step)
        answer = self._sdk.call(step.sdk, arguments, key=self._key_of(step, names), limit_s=self._limit_s)
        if "missing" in answer:
            raise UnavailableError(answer["missing"])
        return answer

    def _send(self, step: Step, names: dict[str, str]) -> dict[str, Any]:
        method, _, path = self._filled(step.send, names, step).partition(" ")
        key = self._key_of(step, names)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        content = None if step.text is None else step.text.encode()
        if step.json is not UNSET:
            content = json.dumps(self._filled(step.json, names, step)).encode()
            headers["Content-Type"] = "application/json"
            if b'"oss://' in content:
                headers |= RESOLVE
        form = None if step.form is None else cast("dict[str, str]", self._filled(step.form, names, step))
        return exchange(
            self._http,
            method,
            path,
            headers=headers | step.headers,
            content=content,
            form=form,
            file=None if form is None else ("speech.wav", clip(), "audio/wav"),
            limit_s=self._limit_s,
        )

    def _key_of(self, step: Step, names: dict[str, str]) -> str:
        return self._key if step.key is None else self._filled(step.key, names, step)

    def _filled(self, value: Any, names: dict[str, str], step: Step, *, pattern: bool = False) -> Any:
        """The value with placeholders in all its texts replaced, fit for a regular expression where the text is one.

        A placeholder keeps its meaning for the rest of the case.
        """
        if isinstance(value, str):
            model = _model(step)

            def meaning(found: re.Match[str]) -> str:
                name = found[1]
                if name not in names:
                    names[name] = self._sources.value(name, model)
                return re.escape(names[name]) if pattern else names[name]

            return _PLACEHOLDER.sub(meaning, value)
        if isinstance(value, dict):
            members = cast("dict[str, Any]", value)
            return {
                name: self._filled(inner, names, step, pattern=name == "matches") for name, inner in members.items()
            }
        if isinstance(value, list):
            return [self._filled(inner, names, step) for inner in cast("list[Any]", value)]
        return value


def _told(document: dict[str, Any]) -> Any:
    """What an answer that ended otherwise than expected has to say, without what every answer has."""
    body = document.get("body", document.get("result"))
    if isinstance(body, dict):
        members = cast("dict[str, Any]", body)
        return {name: value for name, value in members.items() if name not in ("request_id", "status_code")}
    return document.get("text", body)


def _model(step: Step) -> str:
    """The model that a step calls; uploads are made for one."""
    body = cast("dict[str, Any]", step.json) if isinstance(step.json, dict) else step.arguments
    return str(body.get("model", ""))


@contextmanager
def connect(base_url: str, key: str, *, limit_s: float, serve_on: tuple[str, int] | None = None) -> Generator[Replay]:
    """What replays cases against the server at ``base_url``. Raises CannotRunError when there is nobody to talk to.

    ``serve_on`` is a host and port of this machine where the server can fetch sounds; without it that is tried where
    the server runs on this machine too.
    """
    root = server_root(base_url)
    if not (key.isascii() and key.isprintable()):
        raise CannotRunError("the API key holds characters that no key has; see --api-key or DASHSCOPE_API_KEY")
    with ExitStack() as opened:
        http = opened.enter_context(open_client(root, limit_s))
        _greet(http, key)
        where = serve_on or (("127.0.0.1", 0) if is_loopback(root) else None)
        origin = opened.enter_context(closing(_listen(*where))) if where else None
        sources = opened.enter_context(closing(Sources(http, {"Authorization": f"Bearer {key}"}, origin)))
        sdk = opened.enter_context(closing(SdkProcess(root)))
        yield Replay(http, sdk, sources, key, limit_s)


def _greet(http: httpx.Client, key: str) -> None:
    """Ask for a task that nobody has, to see whether the server is there and takes the key."""
    try:
        answer = http.get(f"/api/v1/tasks/{NO_TASK}", headers={"Authorization": f"Bearer {key}"})
    except httpx.HTTPError as error:
        raise CannotRunError(f"{http.base_url} does not answer: {str(error) or type(error).__name__}") from error
    if answer.status_code == 401:
        raise CannotRunError(f"{http.base_url} refuses the key; another one is named by --api-key")


def _listen(host: str, port: int) -> Origin:
    try:
        return Origin(host, port)
    except (OSError, OverflowError) as error:
        raise CannotRunError(f"sounds cannot be served on {host}:{port}: {error}") from error


def server_root(base_url: str) -> str:
    """A server's root, of its address or one of its base URLs. Raises CannotRunError for what is no http URL."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise CannotRunError(f"the base URL {base_url!r} cannot be read: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise CannotRunError(f"the base URL {base_url!r} is no http or https URL")
    root = str(url.copy_with(query=None, fragment=None)).rstrip("/")
    for ending in ("/api/v1", "/compatible-mode/v1", "/v1"):
        root = root.removesuffix(ending)
    return root
