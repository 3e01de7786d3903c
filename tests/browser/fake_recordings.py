"""A stand-in for the server that the pages of one recording talk to, with made transcripts, in the browser's network.

For states that a real server cannot be brought into at will: hostile texts, three hours of speech, a lost network,
somebody else's edit. The pages are the real files under the real policy; test_review_live.py has the real answers.
"""

from __future__ import annotations

import io
import json
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from browsing import NOTES_STAY
from playwright.sync_api import Page, Request, Route

import dashscribe.wire
from dashscribe.wire import pages

ORIGIN = "http://pages.test"
FOLDER = Path(dashscribe.wire.__file__).with_name("pages")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
TASK = "0b6d3a52-2f44-4c1e-9d0b-6a5b4c3d2e1f"
ID = f"{TASK}.0"
NAMES = ("paraformer-v2", "fun-asr")


def silence(seconds: int) -> bytes:
    """A WAV of 8 kHz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(bytes([128]) * (8000 * seconds))
    return out.getvalue()


def said(text: str, begin_ms: int, end_ms: int, *, confidence: float | None = None) -> list[dict[str, Any]]:
    """The words of a text, evenly over a stretch; Han characters are words by themselves."""
    spelled = re.findall(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+", text)
    step = (end_ms - begin_ms) / max(1, len(spelled))
    words: list[dict[str, Any]] = []
    for at, one in enumerate(spelled):
        bare = one.rstrip(",.?!。，？！")
        word = {
            "begin_ms": round(begin_ms + at * step),
            "end_ms": round(begin_ms + (at + 1) * step),
            "text": bare or one,
        }
        word["punctuation"] = one[len(bare) :] if bare else ""
        if confidence is not None:
            word["confidence"] = confidence
        words.append(word)
    return words


def sentence(
    number: int, text: str, begin_ms: int, end_ms: int, *, speaker: int | None = None, channel: int = 0, **more: Any
) -> dict[str, Any]:
    """A sentence as the server gives it."""
    made: dict[str, Any] = {"id": f"{channel}-{number}", "channel": channel, "begin_ms": begin_ms, "end_ms": end_ms}
    made |= {"text": text, "words": said(text, begin_ms, end_ms), "events": [], "edited": False, "language": "en"}
    if speaker is not None:
        made["speaker"] = speaker
    return made | more


SHORT = (
    "Good morning, and welcome to the weekly meeting.",
    "Let us begin with the numbers of last month.",
    "Sales grew by four percent.",
    "Was that more than we had planned for?",
    "A little more than we had planned.",
    "Then let us go on to the new office.",
)


def short_transcript() -> dict[str, Any]:
    """Six sentences of two speakers in 40 s, a pause and a stretch that failed."""
    sentences = [
        sentence(at, text, 1000 + at * 4000, 4800 + at * 4000, speaker=[0, 0, 1, 0, 1, 0][at])
        for at, text in enumerate(SHORT)
    ]
    sentences[2]["words"][2]["confidence"] = 0.35
    fates = (
        (0, 1000, "non_speech"),
        (1000, 25000, "transcribed"),
        (25000, 33000, "non_speech"),
        (33000, 36000, "failed"),
    )
    ledger = [{"channel": 0, "begin_ms": a, "end_ms": b, "fate": fate} for a, b, fate in fates]
    ledger[-1]["reason"] = "the engine ended three times"
    return transcript_of(sentences, 40_000, ledger)


def transcript_of(
    sentences: list[dict[str, Any]], duration_ms: int, ledger: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The answer of the transcript's route."""
    channels = sorted({one["channel"] for one in sentences}) or [0]
    return {
        "revision": 0,
        "edited": False,
        "duration_ms": duration_ms,
        "channels": channels,
        "speakers": {},
        "languages": ["en"],
        "sentences": sentences,
        "ledger": ledger or [],
        "notes": [],
    }


#: Method, path, query and body of a call.
Call = tuple[str, str, dict[str, list[str]], Any]


@dataclass
class Fake:
    """The recordings of the stand-in, and what was asked of it."""

    recordings: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    transcripts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    originals: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    compared: dict[str, Any] = field(default_factory=dict[str, Any])
    #: Answers of other routes, by path.
    others: dict[str, Any] = field(default_factory=dict[str, Any])
    sound: bytes = field(default_factory=lambda: silence(60))
    offline: bool = False
    #: Whether saves stay without an answer until ``let_go``; whether they are done and their answers are lost.
    holds: bool = False
    loses: bool = False
    held: list[tuple[Route, str, Any]] = field(default_factory=list[tuple[Route, str, Any]])
    saved: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    calls: list[tuple[str, str, dict[str, list[str]], Any]] = field(
        default_factory=list[tuple[str, str, dict[str, list[str]], Any]]
    )

    def add(self, transcript: dict[str, Any] | None = None, id: str = ID, **more: Any) -> str:
        """A recording with a transcript, done unless ``more`` says otherwise."""
        duration_ms = transcript["duration_ms"] if transcript else 40_000
        recording: dict[str, Any] = {
            "id": id,
            "file": int(id[-1]),
            "title": "Weekly meeting",
            "model": "paraformer-v2",
        }
        recording |= {
            "status": "SUCCEEDED",
            "duration_ms": duration_ms,
            "kept": True,
            "submitted_at": 1_790_000_000_000,
        }
        recording |= {"revision": 0}
        self.recordings[id] = recording | more
        if transcript:
            self.transcripts[id] = transcript
            self.originals[id] = json.loads(json.dumps(transcript))
        return id

    def install(self, page: Page, *, language: str = "en", theme: str = "light") -> None:
        """Answer a page's requests, with somebody signed in."""
        page.add_init_script(NOTES_STAY)
        page.add_init_script(
            f"sessionStorage.setItem('dashscribe.key', '\"sk-fake\"');"
            f"localStorage.setItem('dashscribe.language', '\"{language}\"');"
            f"localStorage.setItem('dashscribe.theme', '\"{theme}\"');"
        )
        page.route(f"{ORIGIN}/**", self._answer)

    def _answer(self, route: Route, request: Request) -> None:
        url = urlsplit(request.url)
        path = unquote(url.path)
        if path == "/":
            headers = {"content-security-policy": pages._POLICY}  # pyright: ignore[reportPrivateUsage]
            route.fulfill(
                body=(FOLDER / "index.html").read_text(encoding="utf-8"), content_type="text/html", headers=headers
            )
        elif path.startswith("/pages/"):
            file = FOLDER / path.removeprefix("/pages/")
            if file.is_file():
                route.fulfill(body=file.read_bytes(), content_type=f"{TYPES[file.suffix]}; charset=utf-8")
            else:
                route.fulfill(status=404)
        elif self.offline:
            route.abort()
        else:
            self._call(route, request, path.removeprefix("/dashscribe/v1"), parse_qs(url.query))

    def _call(self, route: Route, request: Request, path: str, query: dict[str, list[str]]) -> None:
        body = request.post_data_json if request.post_data else None
        self.calls.append((request.method, path, query, body))
        if path.startswith("/sound/"):
            self._sound(route, request)
            return
        parts = path.strip("/").split("/")
        plain: dict[str, Callable[[], Any]] = {
            "/me": lambda: {"owner": "default", "key_name": "fake", "key_id": "k", "time_zone": "Asia/Shanghai"},
            "/models": lambda: {
                "models": [
                    {"name": name, "engine": "standin", "call": "async"} for name in ("paraformer-v2", "fun-asr")
                ]
            },
        }
        if (request.method, path) == ("GET", "/recordings"):
            route.fulfill(json=self._listed(query))
        elif path == "/recordings/delete":
            for id in body["ids"]:
                del self.recordings[id]
            route.fulfill(json={"deleted": body["ids"], "not_found": []})
        elif path == "/recordings/export":
            route.fulfill(body=b"PK", headers={"content-disposition": 'attachment; filename="recordings.zip"'})
        elif path in plain:
            route.fulfill(json=plain[path]())
        elif path in self.others:
            route.fulfill(json=self.others[path])
        elif parts[0] == "tasks":
            route.fulfill(json={"dashscribe": {"redo": []}}, status=202)
        elif parts[0] == "recordings" and len(parts) > 1 and parts[1] in self.recordings:
            self._recording(route, request.method, parts[1], parts[2] if len(parts) > 2 else "", query, body)
        else:
            route.fulfill(status=404, json={"request_id": "r", "code": "NotFound", "message": f"no {path}"})

    def _listed(self, query: dict[str, list[str]]) -> dict[str, Any]:
        listed = list(self.recordings.values())
        page_no, page_size = (int(query.get(name, [one])[0]) for name, one in (("page_no", "1"), ("page_size", "20")))
        shown = listed[(page_no - 1) * page_size : page_no * page_size]
        return {"total": len(listed), "page_no": page_no, "page_size": page_size, "recordings": shown}

    def _recording(self, route: Route, method: str, id: str, what: str, query: dict[str, list[str]], body: Any) -> None:
        answers: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", ""): lambda: self.recordings[id],
            ("PATCH", ""): lambda: self.recordings[id].update(body) or self.recordings[id],
            ("GET", "transcript"): lambda: self._transcripts(query)[id],
            ("DELETE", "edits"): lambda: self._discard(id),
            ("GET", "sound"): lambda: {"url": f"/dashscribe/v1/sound/{id}?Signature=s", "ready": True},
            ("GET", "peaks"): lambda: self._peaks(id),
            ("POST", "again"): lambda: self._again(body),
            ("GET", "compare"): lambda: self.compared,
        }
        if (method, what) in answers:
            route.fulfill(json=answers[method, what]())
        elif what == "transcript" and self.holds:
            self.held.append((route, id, body))
        elif what == "transcript":
            self._save(route, id, body)
        elif what == "export":
            name = f"Weekly%20meeting.{query['format'][0]}"
            headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}"}
            route.fulfill(body=json.dumps({name: values[0] for name, values in query.items()}), headers=headers)
        else:
            route.fulfill(status=404, json={"request_id": "r", "code": "NotFound", "message": f"no {what}"})

    def _transcripts(self, query: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
        return self.originals if query.get("version") == ["original"] else self.transcripts

    def _discard(self, id: str) -> dict[str, Any]:
        revision = self.transcripts[id]["revision"] + 1
        self.transcripts[id] = json.loads(json.dumps(self.originals[id])) | {"revision": revision}
        return {"revision": revision}

    def _peaks(self, id: str) -> dict[str, Any]:
        count = self.recordings[id]["duration_ms"] // 100
        return {"rate_hz": 10, "begin_ms": 0, "channels": [[(n * 37 % 90) * (n % 40 > 6) for n in range(count)]]}

    def _again(self, body: Any) -> dict[str, Any]:
        task = "11111111-2f44-4c1e-9d0b-6a5b4c3d2e1f"
        self.add(None, f"{task}.0", status="PENDING", model=body["model"], queue_position=2)
        return {"id": f"{task}.0", "task_id": task, "status": "PENDING", "model": body["model"]}

    def let_go(self) -> None:
        """Answer the saves that were held."""
        self.holds = False
        for route, id, body in self.held:
            self._save(route, id, body)
        self.held.clear()

    def _save(self, route: Route, id: str, body: Any) -> None:
        transcript = self.transcripts[id]
        if body["revision"] != transcript["revision"]:
            refusal = {"request_id": "r", "code": "Conflict", "message": "revision", "revision": transcript["revision"]}
            route.fulfill(status=409, json=refusal)
            return
        self.saved.append(body)
        transcript["revision"] += 1
        transcript["edited"] = True
        replaced = [self._replace(transcript, at, group) for at, group in enumerate(body.get("replace", []))]
        for speaker, name in body.get("speakers", {}).items():
            transcript["speakers"].pop(speaker, None)
            if name:
                transcript["speakers"][speaker] = name
        if self.loses:
            route.abort()
            return
        route.fulfill(
            json={"revision": transcript["revision"], "replaced": replaced, "speakers": transcript["speakers"]}
        )

    def _replace(self, transcript: dict[str, Any], at: int, group: dict[str, Any]) -> dict[str, Any]:
        sentences = transcript["sentences"]
        old = [one for one in sentences if one["id"] in group["ids"]]
        assert [one["id"] for one in old] == group["ids"], "consecutive ids"
        texts = [one for one in group["with"] if one["text"].strip()]
        if not old:
            return self._insert(transcript, at, group)
        begin_ms, end_ms = old[0]["begin_ms"], old[-1]["end_ms"]
        step = (end_ms - begin_ms) // max(1, len(texts))
        fresh: list[dict[str, Any]] = []
        for number, wish in enumerate(texts):
            begin = begin_ms + number * step
            one = old[0] | wish | {"begin_ms": begin, "end_ms": begin + step, "edited": True}
            one["words"] = said(wish["text"], begin, begin + step)
            if not len(old) == len(texts) == 1:
                one["id"] = f"{old[0]['channel']}-r{transcript['revision']}-{at}-{number}"
            fresh.append(one)
        place = sentences.index(old[0])
        sentences[place : place + len(old)] = fresh
        return {"ids": group["ids"], "with": fresh}

    def _insert(self, transcript: dict[str, Any], at: int, group: dict[str, Any]) -> dict[str, Any]:
        (wish,) = group["with"]
        channel, begin_ms, end_ms = group["channel"], group["begin_ms"], group["end_ms"]
        mine = [one for one in transcript["sentences"] if one["channel"] == channel]
        assert all(one["end_ms"] <= begin_ms or end_ms <= one["begin_ms"] for one in mine), "a free stretch"
        fresh = sentence(0, wish["text"], begin_ms, end_ms, channel=channel, speaker=wish.get("speaker"), edited=True)
        fresh["id"] = f"{channel}-r{transcript['revision']}-{at}-0"
        transcript["sentences"] = sorted([*transcript["sentences"], fresh], key=lambda one: one["begin_ms"])
        return {"ids": [], "with": [fresh]}

    def _sound(self, route: Route, request: Request) -> None:
        asked = re.match(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        begin = int(asked[1]) if asked else 0
        end = int(asked[2]) + 1 if asked and asked[2] else len(self.sound)
        headers = {"accept-ranges": "bytes", "content-type": "audio/wav"}
        if asked:
            headers["content-range"] = f"bytes {begin}-{end - 1}/{len(self.sound)}"
        route.fulfill(status=206 if asked else 200, body=self.sound[begin:end], headers=headers)
