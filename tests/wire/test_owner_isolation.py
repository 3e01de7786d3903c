"""A walk over every operation of the OpenAPI document with one owner's key and another one's ids.

Each call is made three times by the stranger: with ids of the owner, and with two sets of ids that never were. The
answers have to be the same but for what the stranger said, so that nobody learns whether an id exists; and the owner
finds everything as before. An operation that the walk does not know fails it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from review import furnish
from test_results import finish
from test_upload_routes import credential, fields, send
from wire_servers import ASYNC, KEY, SUBMIT, Desk, checked

from dashscribe.wire.results import pseudonym, result_url

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = TUS | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "3"}
MINE = {"Authorization": f"Bearer {KEY}"}
MARK = "kestrel-4711"  # in all that belongs to the owner
RECORDINGS = "/dashscribe/v1/recordings"


@dataclass(frozen=True)
class Ids:
    """What a stranger may have heard of, or guessed."""

    waiting: str  # tasks
    ended: str
    vocabulary: str
    phrases: str
    whole: str  # keys of uploads
    part: str
    key_id: str
    idempotency_key: str


GHOSTS = [
    Ids(*(str(uuid4()) for _ in range(2)), f"vocab-{MARK[:7]}-{uuid4().hex}", f"{uuid4().hex}", *keys, key, idem)
    for keys, key, idem in (
        ((f"dashscope-instant/{'0' * 32}/2026-06-01/{uuid4()}/a.wav", f"{uuid4().hex}"), "98765", "never-1"),
        ((f"dashscope-instant/{'1' * 32}/2026-06-01/{uuid4()}/b.wav", f"{uuid4().hex}"), "98766", "never-2"),
    )
]
#: Operations whose permission is a signature.
SIGNED = {"post /oss-upload/{ticket}", "get /results/{task_id}/{name}", "get /dashscribe/v1/sound/{recording_id}"}
Stranger = Callable[..., httpx.Response]
Call = Callable[[Stranger, Ids], httpx.Response]


def posted(path: str, **how: Any) -> Call:
    return lambda ask, ids: ask("POST", path, **how)


def submitting(**members: Callable[[Ids], Any]) -> Call:
    """Submit a task that names something of somebody's."""

    def call(ask: Stranger, ids: Ids) -> httpx.Response:
        body = {"model": "fun-asr", "input": {"file_urls": ["https://a.example/a.wav"]}}
        return ask("POST", SUBMIT, json=body | {name: make(ids) for name, make in members.items()}, headers=ASYNC)

    return call


def speaking(path: str, **members: Callable[[Ids], Any]) -> Call:
    return lambda ask, ids: ask("POST", path, json={name: make(ids) for name, make in members.items()})


def customizing(action: str, **more: Any) -> Call:
    def call(ask: Stranger, ids: Ids) -> httpx.Response:
        words = [{"text": "other", "weight": 4}]
        members = {"action": action, "vocabulary_id": ids.vocabulary, "vocabulary": words, **more}
        return ask(
            "POST", "/api/v1/services/audio/asr/customization", json={"model": "speech-biasing", "input": members}
        )

    return call


def in_folder_of(ids: Ids) -> str:
    return ids.whole.rpartition("/")[0]


def foreign_form(ask: Stranger, ids: Ids) -> httpx.Response:
    """The stranger's own credential with a key in somebody's folder."""
    data = checked(ask("GET", "/api/v1/uploads?action=getPolicy&model=fun-asr"))["data"]
    return ask("FORM", "", data=data, form=fields(data, key=f"{in_folder_of(ids)}/new.wav"))


def someones_result(ask: Stranger, ids: Ids) -> httpx.Response:
    query = {"Expires": "9999999999", "OSSAccessKeyId": "0" * 16, "Signature": "0" * 64}
    return ask("GET", f"/results/{ids.ended}/0.json", params=query)


def message(ids: Ids, audio: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"audio": audio}]}]}


def chat(ids: Ids) -> list[dict[str, Any]]:
    content = [{"type": "input_audio", "input_audio": {"data": f"oss://{ids.whole}"}}]
    return [{"role": "user", "content": content}]


def phrases_body(ids: Ids) -> dict[str, Any]:
    words = {"phrase_list": {"other": 4}}
    kind = {"model": "paraformer-v1", "training_type": "compile_asr_phrase"}
    return {**kind, "hyper_parameters": words, "finetuned_output": ids.phrases}


def of_recording(method: str, what: str, **how: Any) -> Call:
    return lambda ask, ids: ask(method, f"/dashscribe/v1/recordings/{ids.ended}.0/{what}", **how)


#: By operation, the calls of a stranger; none where there is nothing of an owner's in it, with the reason.
WALK: dict[str, list[Call] | str] = {
    "post /api/v1/services/audio/asr/transcription": [
        submitting(input=lambda ids: {"file_urls": [f"oss://{ids.whole}"]}),
        submitting(parameters=lambda ids: {"vocabulary_id": ids.vocabulary}),
        submitting(model=lambda ids: "paraformer-v1", resources=lambda ids: [_phrase_resource(ids)]),
        lambda ask, ids: ask(
            "POST",
            SUBMIT,
            json={"model": "fun-asr", "input": {"file_urls": [f"https://a.example/{MARK}.wav"]}},
            headers=ASYNC | {"Idempotency-Key": ids.idempotency_key},
        ),
    ],
    "get /api/v1/tasks/{task_id}": [
        lambda ask, ids: ask("GET", f"/api/v1/tasks/{ids.waiting}"),
        lambda ask, ids: ask("GET", f"/api/v1/tasks/{ids.ended}"),
        lambda ask, ids: ask("POST", f"/api/v1/tasks/{ids.ended}/"),
    ],
    "post /api/v1/tasks/{task_id}/cancel": [lambda ask, ids: ask("POST", f"/api/v1/tasks/{ids.waiting}/cancel")],
    "get /api/v1/tasks": [
        lambda ask, ids: ask("GET", "/api/v1/tasks", params={"task_id": ids.waiting}),
        lambda ask, ids: ask("GET", "/api/v1/tasks", params={"task_id": ids.ended, "status": "SUCCEEDED"}),
        lambda ask, ids: ask("GET", "/api/v1/tasks", params={"api_key_id": ids.key_id}),
        lambda ask, ids: ask("GET", "/api/v1/tasks", params={"task_id": f"{ids.waiting[:8]}%"}),
        lambda ask, ids: ask("GET", "/api/v1/tasks", params={"task_id": f"' OR task_id='{ids.waiting}"}),
    ],
    "post /dashscribe/v1/tasks/{task_id}/retry": [
        lambda ask, ids: ask("POST", f"/dashscribe/v1/tasks/{ids.ended}/retry", json={"all": True}),
        lambda ask, ids: ask("POST", f"/dashscribe/v1/tasks/{ids.ended}/retry", json={"stage": "marks"}),
        lambda ask, ids: ask("POST", f"/dashscribe/v1/tasks/{ids.waiting}/retry"),
    ],
    "post /api/v1/services/aigc/multimodal-generation/generation": [
        speaking(
            "/api/v1/services/aigc/multimodal-generation/generation",
            model=lambda ids: "qwen3-asr-flash",
            input=lambda ids: message(ids, f"oss://{ids.whole}"),
        ),
    ],
    "post /v1/chat/completions": [
        speaking("/v1/chat/completions", model=lambda ids: "qwen3-asr-flash", messages=chat),
        speaking("/compatible-mode/v1/chat/completions", model=lambda ids: "qwen3-asr-flash", messages=chat),
    ],
    "post /v1/audio/transcriptions": "takes a file and names nothing",
    "post /v1/audio/translations": "takes a file and names nothing",
    "get /api/v1/uploads": "makes a credential of the caller's own; see the form",
    "post /oss-upload/{ticket}": [foreign_form],
    "options /dashscribe/v1/uploads": "the same for everybody",
    "get /dashscribe/v1/uploads": [lambda ask, ids: ask("GET", "/dashscribe/v1/uploads", params={"page_size": 100})],
    "post /dashscribe/v1/uploads": "begins one of the caller's own under a key of the server's",
    "get /dashscribe/v1/uploads/{key}": [
        lambda ask, ids: ask("GET", f"/dashscribe/v1/uploads/{ids.whole}"),
        lambda ask, ids: ask("GET", f"/dashscribe/v1/uploads/{ids.part}"),
        lambda ask, ids: ask("HEAD", f"/dashscribe/v1/uploads/{ids.part}", headers=TUS),
    ],
    "patch /dashscribe/v1/uploads/{key}": [
        lambda ask, ids: ask("PATCH", f"/dashscribe/v1/uploads/{ids.part}", headers=PIECE, content=b"more"),
        lambda ask, ids: ask("PATCH", f"/dashscribe/v1/uploads/{ids.whole}", headers=PIECE, content=b"more"),
        lambda ask, ids: ask(
            "POST",
            f"/dashscribe/v1/uploads/{ids.part}",
            headers=PIECE | {"X-HTTP-Method-Override": "PATCH"},
            content=b"more",
        ),
    ],
    "delete /dashscribe/v1/uploads/{key}": [
        lambda ask, ids: ask("DELETE", f"/dashscribe/v1/uploads/{ids.part}", headers=TUS),
        lambda ask, ids: ask("DELETE", f"/dashscribe/v1/uploads/{ids.whole}", headers=TUS),
    ],
    "post /api/v1/services/audio/asr/customization": [
        customizing("query_vocabulary"),
        customizing("update_vocabulary"),
        customizing("delete_vocabulary"),
        customizing("list_vocabulary", prefix=MARK[:7]),
    ],
    "post /api/v1/fine-tunes": [lambda ask, ids: ask("POST", "/api/v1/fine-tunes", json=phrases_body(ids))],
    "get /api/v1/fine-tunes/outputs": [lambda ask, ids: ask("GET", "/api/v1/fine-tunes/outputs")],
    "get /api/v1/fine-tunes/outputs/{finetuned_output}": [
        lambda ask, ids: ask("GET", f"/api/v1/fine-tunes/outputs/{ids.phrases}"),
    ],
    "delete /api/v1/fine-tunes/outputs/{finetuned_output}": [
        lambda ask, ids: ask("DELETE", f"/api/v1/fine-tunes/outputs/{ids.phrases}"),
    ],
    "post /api/v1/tokens": "lends the caller's own rights",
    "get /dashscribe/v1/recordings/{recording_id}/transcript": [
        of_recording("GET", "transcript"),
        of_recording("GET", "transcript?version=original"),
        lambda ask, ids: ask("GET", f"/dashscribe/v1/recordings/{ids.waiting}.0/transcript"),
    ],
    "patch /dashscribe/v1/recordings/{recording_id}/transcript": [
        of_recording("PATCH", "transcript", json={"revision": 0, "speakers": {"0": "Mallory"}}),
    ],
    "delete /dashscribe/v1/recordings/{recording_id}/edits": [of_recording("DELETE", "edits")],
    "get /dashscribe/v1/recordings/{recording_id}/compare": [
        lambda ask, ids: ask("GET", f"/dashscribe/v1/recordings/{ids.ended}.0/compare?with={ids.ended}.0"),
    ],
    "get /dashscribe/v1/recordings/{recording_id}/export": [of_recording("GET", "export?format=json")],
    "post /dashscribe/v1/recordings/export": [
        lambda ask, ids: ask("POST", "/dashscribe/v1/recordings/export", json={"ids": [f"{ids.ended}.0"]}),
    ],
    "post /dashscribe/v1/recordings/{recording_id}/again": [
        of_recording("POST", "again", json={"model": "paraformer-v2"}),
    ],
    "get /dashscribe/v1/recordings/{recording_id}/sound": [of_recording("GET", "sound")],
    "get /dashscribe/v1/recordings/{recording_id}/peaks": [of_recording("GET", "peaks")],
    "get /dashscribe/v1/sound/{recording_id}": [
        lambda ask, ids: ask(
            "GET", f"/dashscribe/v1/sound/{ids.ended}.0", params={"Expires": "9999999999", "Signature": "0" * 64}
        ),
    ],
    "get /results/{task_id}/{name}": [someones_result],
    "get /dashscribe/v1/callbacks/targets": "lists the caller's own: test_callbacks.py",
    "post /dashscribe/v1/callbacks/targets": "makes one of the caller's own",
    "get /dashscribe/v1/callbacks/targets/{target_id}": "targets of others: test_callbacks.py",
    "patch /dashscribe/v1/callbacks/targets/{target_id}": "targets of others: test_callbacks.py",
    "delete /dashscribe/v1/callbacks/targets/{target_id}": "targets of others: test_callbacks.py",
    "post /dashscribe/v1/callbacks/targets/{target_id}/test": "targets of others: test_callbacks.py",
    "get /dashscribe/v1/callbacks/deliveries": "lists the caller's own: test_callbacks.py",
    "get /dashscribe/v1/callbacks/deliveries/{delivery_id}": "deliveries of others: test_callbacks.py",
    "post /dashscribe/v1/callbacks/deliveries/{delivery_id}/replay": "deliveries of others: test_callbacks.py",
    "get /dashscribe/v1/callbacks/certificates": "the same for everybody",
    "get /dashscribe/v1/callbacks/certificates/{name}": "the same for everybody",
    "post /dashscribe/v1/callbacks/rotate": "for the owner 'default' only: test_callbacks.py",
    "get /dashscribe/v1/recordings": [
        lambda ask, ids: ask("GET", RECORDINGS, params={"status": "SUCCEEDED"}),
        lambda ask, ids: ask("GET", RECORDINGS, params={"q": "wav", "status": "SUCCEEDED,FAILED"}),
    ],
    "get /dashscribe/v1/recordings/{recording_id}": [
        lambda ask, ids: ask("GET", f"{RECORDINGS}/{ids.waiting}.0"),
        lambda ask, ids: ask("GET", f"{RECORDINGS}/{ids.ended}.0", params={"q": "海"}),
    ],
    "patch /dashscribe/v1/recordings/{recording_id}": [
        lambda ask, ids: ask("PATCH", f"{RECORDINGS}/{ids.waiting}.0", json={"title": "mine"}),
        lambda ask, ids: ask("PATCH", f"{RECORDINGS}/{ids.ended}.0", json={"kept": True}),
    ],
    "delete /dashscribe/v1/recordings/{recording_id}": [
        lambda ask, ids: ask("DELETE", f"{RECORDINGS}/{ids.waiting}.0"),
        lambda ask, ids: ask("DELETE", f"{RECORDINGS}/{ids.ended}.0"),
    ],
    "post /dashscribe/v1/recordings/delete": [
        lambda ask, ids: ask("POST", f"{RECORDINGS}/delete", json={"ids": [f"{ids.waiting}.0", f"{ids.ended}.0"]}),
    ],
    "get /dashscribe/v1/me": "tells the caller's own: test_account.py",
    "get /dashscribe/v1/keys": "lists the caller's own: test_account.py",
    "post /dashscribe/v1/keys": "makes one of the caller's own",
    "delete /dashscribe/v1/keys/{key_id}": "keys of others: test_account.py",
    "get /dashscribe/v1/usage": "the caller's own: test_account.py",
    "get /dashscribe/v1/queue": "the caller's own and sums: test_account.py",
    "get /dashscribe/v1/sensitive-words": "the caller's own: test_account.py",
    "put /dashscribe/v1/sensitive-words": "the caller's own: test_account.py",
    "get /dashscribe/v1/models": "the same for everybody",
    "get /dashscribe/v1/suggestion": "the same for everybody",
    "get /v1/models": "the same for everybody",
    "get /v1/models/{name}": "the same for everybody",
    "get /api/v1/models": "the same for everybody",
    "get /metrics": "for the owner 'default' only: test_metrics.py",
    "get /healthz": "the same for everybody",
    "get /readyz": "the same for everybody",
}


def _phrase_resource(ids: Ids) -> dict[str, str]:
    return {"resource_id": ids.phrases, "resource_type": "asr_phrase"}


@pytest.fixture
def theirs(desk: Desk) -> Ids:
    """Something of every kind that belongs to the owner of KEY."""
    finish(desk)  # ends all tasks there are
    (ended,) = [row["task_id"] for row in checked(desk.http.get("/api/v1/tasks"))["data"]]
    furnish(desk, ended, MARK)
    body = {"model": "fun-asr", "input": {"file_urls": [f"https://a.example/{MARK}.wav"]}}
    waiting = desk.http.post(SUBMIT, json=body, headers=ASYNC | {"Idempotency-Key": MARK})
    words = [{"text": MARK, "weight": 4}]
    made = {"action": "create_vocabulary", "target_model": "fun-asr", "prefix": MARK[:7], "vocabulary": words}
    speech = {"model": "speech-biasing", "input": made}
    vocabulary = desk.http.post("/api/v1/services/audio/asr/customization", json=speech)
    compiled = {"training_type": "compile_asr_phrase", "hyper_parameters": {"phrase_list": {MARK: 4}}}
    phrases = desk.http.post("/api/v1/fine-tunes", json={"model": "paraformer-v1", **compiled})
    data = credential(desk.http)
    assert send(desk.http, data, fields(data, f"{MARK}.wav"), b"whole").status_code == 200
    begun = desk.http.post("/dashscribe/v1/uploads", headers=TUS | {"Upload-Length": "10"})
    part = begun.headers["location"].partition("/dashscribe/v1/uploads/")[2]
    return Ids(
        waiting=checked(waiting)["output"]["task_id"],
        ended=ended,
        vocabulary=checked(vocabulary)["output"]["vocabulary_id"],
        phrases=checked(phrases)["output"]["finetuned_output"],
        whole=f"{data['upload_dir']}/{MARK}.wav",
        part=part,
        key_id="0",
        idempotency_key=MARK,
    )


@pytest.fixture
def stranger(desk: Desk) -> Iterator[Stranger]:
    """Asks with the key of another owner."""
    _, secret = desk.parts.keys.create("mallory")

    def ask(method: str, path: str, *, headers: dict[str, str] | None = None, **how: Any) -> httpx.Response:
        if method == "FORM":
            return send(desk.http, how["data"], how["form"])
        return desk.http.request(method, path, headers={"Authorization": f"Bearer {secret}"} | (headers or {}), **how)

    yield ask


def told(response: httpx.Response, ids: Ids) -> tuple[int, str, dict[str, str]]:
    """An answer without what the stranger said, and without what is new each time."""
    text = response.text
    for name, given in vars(ids).items():
        if name != "key_id":  # which nothing repeats, and which is short
            text = text.replace(given, f"<{name}>").replace(given[:60], f"<{name}>")
    text = text.replace(in_folder_of(ids), "<folder>")
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>", text)
    text = re.sub(r"[0-9a-f]{32}", "<hex>", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[ T][\d:.+]*", "<time>", text)
    moving = ("x-request-id", "date", "content-length", "upload-expires")
    return response.status_code, text, {n: v for n, v in response.headers.items() if n not in moving}


def everything(desk: Desk, ids: Ids) -> str:
    """What the owner sees of all that is theirs."""
    query = {"action": "query_vocabulary", "vocabulary_id": ids.vocabulary}
    answers = [
        desk.http.get("/api/v1/tasks"),
        desk.http.get(f"/api/v1/tasks/{ids.waiting}"),
        desk.http.get(f"/api/v1/tasks/{ids.ended}"),
        desk.http.post("/api/v1/services/audio/asr/customization", json={"model": "speech-biasing", "input": query}),
        desk.http.get(f"/api/v1/fine-tunes/outputs/{ids.phrases}"),
        desk.http.get("/dashscribe/v1/uploads"),
        desk.http.get(RECORDINGS),
        desk.http.get(f"{RECORDINGS}/{ids.ended}.0"),
        desk.http.get(f"/dashscribe/v1/recordings/{ids.ended}.0/transcript"),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
    bodies = [answer.json() for answer in answers]
    for body in bodies:
        del body["request_id"]
    # How many tasks go before is told to everybody, and the stranger submits some.
    return re.sub(r'"queue_position": \d+', "", json.dumps(bodies))


def test_the_walk_knows_every_operation(desk: Desk) -> None:
    paths = desk.http.get("/openapi.json").json()["paths"]
    assert set(WALK) == {f"{method} {path}" for path, methods in paths.items() for method in methods}


def test_ids_of_another_owner_are_like_ids_that_never_were(desk: Desk, theirs: Ids, stranger: Stranger) -> None:
    before = everything(desk, theirs)
    for operation, calls in WALK.items():
        for number, call in enumerate(calls if isinstance(calls, list) else []):
            where = f"{operation}, call {number}"
            of_theirs = call(stranger, theirs)
            never, again = (told(call(stranger, ghosts), ghosts) for ghosts in GHOSTS)
            assert never == again, f"{where}: this test does not know what changes from call to call"
            assert told(of_theirs, theirs) == never, where
            said = of_theirs.request.url.path + of_theirs.request.content.decode(errors="replace")
            assert MARK not in of_theirs.text or MARK in said, where
    assert everything(desk, theirs) == before


def test_the_owner_s_own_calls_do_work(desk: Desk, theirs: Ids) -> None:
    """Otherwise the walk would compare refusals that have another reason."""

    def owner(method: str, path: str, *, headers: dict[str, str] | None = None, **how: Any) -> httpx.Response:
        if method == "FORM":
            return send(desk.http, how["data"], how["form"])
        return desk.http.request(method, path, headers=MINE | (headers or {}), **how)

    differing: list[str] = []
    for operation, calls in WALK.items():
        if operation in SIGNED:
            continue  # by us, for nobody
        for call in calls if isinstance(calls, list) else []:
            if told(call(owner, GHOSTS[0]), GHOSTS[0]) != told(call(owner, theirs), theirs):
                differing.append(operation)
    walked = {operation for operation, calls in WALK.items() if isinstance(calls, list)}
    lists = {"get /dashscribe/v1/uploads", "get /api/v1/fine-tunes/outputs", f"get {RECORDINGS}"}  # name nothing
    lists.add(f"post {RECORDINGS}/delete")  # finds that each is gone already; test_recordings.py
    assert walked - set(differing) - lists <= SIGNED


def test_the_same_idempotency_key_makes_a_task_of_one_s_own(desk: Desk, theirs: Ids, stranger: Stranger) -> None:
    body = {"model": "fun-asr", "input": {"file_urls": [f"https://a.example/{MARK}.wav"]}}
    made = stranger("POST", SUBMIT, json=body, headers=ASYNC | {"Idempotency-Key": theirs.idempotency_key})
    assert checked(made)["output"]["task_id"] != theirs.waiting


def test_a_task_that_names_another_owner_s_upload_fails_like_one_that_names_none(
    desk: Desk, theirs: Ids, stranger: Stranger
) -> None:
    from dashscribe.errors.sources import UploadGoneError

    told_each = []
    for key in (theirs.whole, GHOSTS[0].whole):
        with pytest.raises(UploadGoneError) as caught:
            desk.parts.uploads.find("mallory", f"oss://{key}")
        told_each.append(str(caught.value).replace(key, "<key>"))
    assert told_each[0] == told_each[1]
    assert desk.parts.uploads.find("default", f"oss://{theirs.whole}")


def test_a_signed_url_is_good_for_the_result_that_it_names_and_for_no_other(desk: Desk, theirs: Ids) -> None:
    from datetime import UTC, datetime

    secret, now = desk.parts.secret, datetime.now(UTC)
    good = result_url("", secret, "default", theirs.ended, 0, now)
    assert desk.http.get(good).status_code == 200
    for bad in (
        good.replace("/0.json", "/1.json"),
        good.replace(theirs.ended, theirs.waiting),
        good.replace("Expires=", "Expires=9"),
        good.replace(pseudonym(secret, "default"), pseudonym(secret, "mallory")),
        result_url("", "another secret", "default", theirs.ended, 0, now),
        good[:-1],
        good.partition("?")[0],
    ):
        assert desk.http.get(bad).status_code == 403, bad
