"""The routes of callbacks: targets, deliveries, certificates; who may see and change what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from wire_servers import KEY, Desk, assert_refused, checked, open_desk

from dashscribe.db.tables import DeliveryState
from dashscribe.notify import deliveries
from dashscribe.notify.deliveries import Outcome
from dashscribe.notify.signing import SigningKeys

PATH = "/dashscribe/v1/callbacks"
TOKEN = "a-token-that-nobody-sees"
PUBLIC = "https://93.184.216.34/done"


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One application for all calls that change nothing."""
    with open_desk(tmp_path_factory.mktemp("refusing")) as desk:
        yield desk


@pytest.fixture
def somebody(desk: Desk) -> dict[str, str]:
    """The header of another owner."""
    return {"Authorization": f"Bearer {desk.parts.keys.create('somebody')[1]}"}


def add(desk: Desk, headers: dict[str, str] | None = None, **members: Any) -> dict[str, Any]:
    response = desk.http.post(f"{PATH}/targets", json={"url": PUBLIC, **members}, headers=headers or {})
    assert response.status_code == 201, response.text
    return checked(response)


def canceled(desk: Desk, headers: dict[str, str] | None = None, **members: Any) -> str:
    task_id = checked(desk.submit(headers=headers, **members))["output"]["task_id"]
    desk.http.post(f"/api/v1/tasks/{task_id}/cancel", headers=headers or {}).raise_for_status()
    return task_id


def listed(desk: Desk, headers: dict[str, str] | None = None, **query: Any) -> list[dict[str, Any]]:
    response = desk.http.get(f"{PATH}/deliveries", params=query, headers=headers or {})
    return checked(response)["deliveries"]


# --- targets ----------------------------------------------------------------------------------------------------------


def test_target_is_told_with_everything_but_its_token(desk: Desk) -> None:
    wanted = {
        "url": f"{PUBLIC}?tenant=7",
        "name": "billing",
        "models": ["fun-asr", "paraformer-v2"],
        "statuses": ["SUCCEEDED"],
        "token": TOKEN,
        "policy": "EXPONENTIAL_DECAY_RETRY",
        "signature": "legacy",
        "dead_letters": False,
        "paused": True,
    }
    target = add(desk, **wanted)
    del wanted["token"]
    assert {name: target[name] for name in wanted} == wanted
    assert (target["owner"], target["server_wide"], target["kind"]) == ("default", False, "http")
    assert target["token_hint"] == "…sees"
    shown = desk.http.get(f"{PATH}/targets/{target['id']}")
    assert checked(shown) | {"request_id": ""} == target | {"request_id": ""}
    everything = shown.text + desk.http.get(f"{PATH}/targets").text
    assert TOKEN not in everything
    assert "token_hint" not in add(desk)
    assert add(desk, token="short")["token_hint"] == "…"


def test_url_is_kept_as_it_is_called(desk: Desk) -> None:
    assert add(desk, url="https://93.184.216.34")["url"] == "https://93.184.216.34/"
    assert add(desk, url="HTTPS://93.184.216.34:443/a b?c=d e")["url"] == "https://93.184.216.34/a%20b?c=d%20e"


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"url": ""}, "url"),
        ({"url": 7}, "url"),
        ({"url": "ftp://93.184.216.34/"}, "no http"),
        ({"url": "https://user:secret@93.184.216.34/"}, "leave name and password out"),
        ({"url": "https://93.184.216.34/#part"}, "#"),
        ({"url": "https:///path"}, "host"),
        ({"url": f"https://93.184.216.34/{'x' * 3000}"}, "2048"),
        ({"url": "http://127.0.0.1:9/"}, "DASHSCRIBE_FETCH_ALLOW"),
        ({"url": "http://[::1]:9/"}, "DASHSCRIBE_FETCH_ALLOW"),
        ({"url": "http://169.254.169.254/latest"}, "DASHSCRIBE_FETCH_ALLOW"),
        ({"url": "rocketmq://10.0.0.1:8081/topic"}, "DASHSCRIBE_FETCH_ALLOW"),
        ({"url": "rocketmq://93.184.216.34/topic"}, "rocketmq://HOST:PORT/TOPIC"),
        ({"url": "rocketmq://93.184.216.34:8081/"}, "rocketmq://HOST:PORT/TOPIC"),
        ({"url": "rocketmq://93.184.216.34:8081/t", "token": "no-colon"}, "ACCESS_KEY:SECRET_KEY"),
        ({"models": ["fun-ars"]}, "no model"),
        ({"models": ["qwen3-asr-flash"]}, "no model of tasks"),
        ({"models": "fun-asr"}, "array"),
        ({"models": [1]}, "string"),
        ({"statuses": ["RUNNING"]}, "SUCCEEDED, FAILED, CANCELED"),
        ({"policy": "NEVER"}, "BACKOFF_RETRY, EXPONENTIAL_DECAY_RETRY"),
        ({"signature": "none"}, "current, legacy"),
        ({"token": "line\nfeed"}, "printable"),
        ({"token": "x" * 300}, "256"),
        ({"name": "x" * 101}, "100"),
        ({"paused": 1}, "true or false"),
        ({"server_wide": "yes"}, "true or false"),
        ({"colour": "red"}, "no member"),
    ],
)
def test_target_that_cannot_be_is_refused(refusing: Desk, members: dict[str, Any], text: str) -> None:
    response = refusing.http.post(f"{PATH}/targets", json={"url": PUBLIC, **members})
    assert text in assert_refused(response, 400, "InvalidParameter", "")["message"]
    assert "secret" not in response.text
    assert checked(refusing.http.get(f"{PATH}/targets"))["targets"] == []


def test_target_is_changed_and_removed(desk: Desk) -> None:
    target = add(desk)
    path = f"{PATH}/targets/{target['id']}"
    changed = checked(desk.http.patch(path, json={"paused": True, "url": f"{PUBLIC}/2", "models": ["fun-asr"]}))
    assert (changed["paused"], changed["url"], changed["models"]) == (True, f"{PUBLIC}/2", ["fun-asr"])
    assert checked(desk.http.patch(path, json={"token": TOKEN}))["token_hint"] == "…sees"
    assert_refused(desk.http.patch(path, json={"url": "http://127.0.0.1/"}), 400, "InvalidParameter", "")
    assert_refused(desk.http.patch(path, json={"owner": "x"}), 400, "InvalidParameter", "")
    assert "token_hint" not in checked(desk.http.patch(path, json={"token": ""}))
    checked(desk.http.delete(path))
    assert_refused(desk.http.get(path), 404, "NotFound", "")
    assert_refused(desk.http.delete(path), 404, "NotFound", "")


def test_token_that_is_kept_goes_to_no_other_url(desk: Desk) -> None:
    target = add(desk, token=TOKEN)
    path = f"{PATH}/targets/{target['id']}"
    for url in ("https://93.184.216.35/done", f"{PUBLIC}/2", f"{PUBLIC}?tenant=8"):
        refused = assert_refused(desk.http.patch(path, json={"url": url, "paused": True}), 400, "InvalidParameter", "")
        assert "token: the one that is kept" in refused["message"]
        assert 'give it again with the url, or another, or "" for none' in refused["message"]
    shown = checked(desk.http.get(path))
    assert (shown["url"], shown["paused"], shown["token_hint"]) == (PUBLIC, False, "…sees")
    # The page sends the url with every change.
    same = checked(desk.http.patch(path, json={"url": PUBLIC.replace("https", "HTTPS"), "name": "billing"}))
    assert (same["url"], same["name"], same["token_hint"]) == (PUBLIC, "billing", "…sees")
    moved = checked(desk.http.patch(path, json={"url": f"{PUBLIC}/2", "token": "another-token-beef"}))
    assert (moved["url"], moved["token_hint"]) == (f"{PUBLIC}/2", "…beef")
    bare = checked(desk.http.patch(path, json={"url": PUBLIC, "token": ""}))
    assert bare["url"] == PUBLIC
    assert "token_hint" not in bare


def test_owner_has_a_limited_number_of_targets(desk: Desk, somebody: dict[str, str]) -> None:
    for _ in range(50):
        add(desk)
    assert_refused(desk.http.post(f"{PATH}/targets", json={"url": PUBLIC}), 409, "Conflict", "")
    add(desk, somebody)


def test_target_of_the_settings_is_changed_there(tmp_path: Any) -> None:
    from dashscribe.notify.targets import keep_fixed

    with open_desk(tmp_path, callback_url=PUBLIC) as desk:
        keep_fixed(desk.engine, desk.parts.settings)
        (target,) = checked(desk.http.get(f"{PATH}/targets"))["targets"]
        assert (target["fixed"], target["server_wide"]) == (True, True)
        path = f"{PATH}/targets/{target['id']}"
        assert_refused(desk.http.patch(path, json={"url": f"{PUBLIC}/2"}), 409, "Conflict", "")
        assert_refused(desk.http.delete(path), 409, "Conflict", "")
        assert checked(desk.http.patch(path, json={"paused": True}))["paused"]


# --- owners -----------------------------------------------------------------------------------------------------------


def test_what_belongs_to_one_owner_does_not_exist_for_another(desk: Desk, somebody: dict[str, str]) -> None:
    mine, theirs = add(desk), add(desk, somebody)
    task = canceled(desk)
    (delivery,) = listed(desk)
    assert (delivery["target_id"], delivery["task_id"]) == (mine["id"], task)
    assert listed(desk, somebody) == []
    assert [t["id"] for t in checked(desk.http.get(f"{PATH}/targets"))["targets"]] == [mine["id"]]
    assert [t["id"] for t in checked(desk.http.get(f"{PATH}/targets", headers=somebody))["targets"]] == [theirs["id"]]
    for method, path in (
        ("GET", f"targets/{mine['id']}"),
        ("PATCH", f"targets/{mine['id']}"),
        ("DELETE", f"targets/{mine['id']}"),
        ("POST", f"targets/{mine['id']}/test"),
        ("GET", f"deliveries/{delivery['id']}"),
        ("POST", f"deliveries/{delivery['id']}/replay"),
    ):
        how: dict[str, Any] = {"json": {"paused": True}} if method == "PATCH" else {}
        assert_refused(desk.http.request(method, f"{PATH}/{path}", headers=somebody, **how), 404, "NotFound", "")
    assert listed(desk, somebody, target_id=mine["id"]) == []
    assert listed(desk, somebody, task_id=task) == []
    assert not checked(desk.http.get(f"{PATH}/targets/{mine['id']}"))["paused"]


def test_targets_of_the_server_belong_to_the_operator(desk: Desk, somebody: dict[str, str]) -> None:
    response = desk.http.post(f"{PATH}/targets", json={"url": PUBLIC, "server_wide": True}, headers=somebody)
    assert_refused(response, 403, "AccessDenied", "")
    token = desk.http.post("/api/v1/tokens").json()["token"]
    lent = {"Authorization": f"Bearer {token}"}
    response = desk.http.post(f"{PATH}/targets", json={"url": PUBLIC, "server_wide": True}, headers=lent)
    assert_refused(response, 403, "AccessDenied", "")
    target = add(desk, server_wide=True)
    assert (target["server_wide"], target["owner"]) == (True, "")
    task = canceled(desk, somebody)
    (delivery,) = listed(desk)
    assert (delivery["task_id"], delivery["owner"]) == (task, "somebody")
    for headers in (somebody, lent):
        assert listed(desk, headers) == []
        assert checked(desk.http.get(f"{PATH}/targets", headers=headers))["targets"] == []
        assert_refused(desk.http.get(f"{PATH}/targets/{target['id']}", headers=headers), 404, "NotFound", "")
    assert "callbacks" not in desk.query(task, headers=somebody).get("dashscribe", {})


def test_temporary_key_changes_no_target_which_would_outlive_it(desk: Desk) -> None:
    target = add(desk, token=TOKEN)
    lent = {"Authorization": f"Bearer {desk.http.post('/api/v1/tokens').json()['token']}"}
    path = f"{PATH}/targets/{target['id']}"
    elsewhere = {"url": "https://93.184.216.35/", "token": "x"}
    for method, where, body in (
        ("POST", f"{PATH}/targets", elsewhere),
        ("POST", f"{PATH}/targets", {"url": ""}),
        ("PATCH", path, elsewhere),
        ("PATCH", path, {"paused": True}),
        ("PATCH", f"{PATH}/targets/cb-0", {}),
        ("DELETE", path, None),
    ):
        response = desk.http.request(method, where, headers=lent, json=body)
        refused = assert_refused(response, 403, "AccessDenied", "")
        assert "temporary key" in refused["message"]
        assert "send a permanent one" in refused["message"]
    (left,) = checked(desk.http.get(f"{PATH}/targets", headers=lent))["targets"]
    assert (left["id"], left["url"], left["paused"]) == (target["id"], PUBLIC, False)
    tested = desk.http.post(f"{path}/test", headers=lent)
    assert tested.status_code == 202
    assert [one["id"] for one in listed(desk, lent)] == [checked(tested)["id"]]


@pytest.mark.parametrize("path", ["targets", "deliveries", "deliveries/1", "certificates", "targets/cb-1"])
def test_everything_but_a_certificate_wants_a_key(refusing: Desk, path: str) -> None:
    response = refusing.http.get(f"{PATH}/{path}", headers={"Authorization": "Bearer sk-wrong"})
    assert_refused(response, 401, "InvalidApiKey", "")


# --- deliveries -------------------------------------------------------------------------------------------------------


def test_delivery_is_shown_with_its_event_and_on_its_task(desk: Desk) -> None:
    target = add(desk, url=f"{PUBLIC}?key=secret-of-the-url")
    task_id = canceled(desk)
    woken = len(desk.woken)
    claimed = deliveries.claim(desk.engine)
    assert claimed is not None
    refused = Outcome(http_status=502, response="Bad Gateway", error="HTTP 502 Bad Gateway")
    assert deliveries.book(desk.engine, claimed, refused) is DeliveryState.WAITING
    (delivery,) = listed(desk)
    shown = checked(desk.http.get(f"{PATH}/deliveries/{delivery['id']}"))
    assert shown["event"]["data"]["task_id"] == task_id
    assert shown["event"]["id"] == delivery["event_id"]
    assert (shown["state"], shown["attempts"], shown["http_status"]) == ("waiting", 1, 502)
    assert (shown["response"], shown["error"]) == ("Bad Gateway", "HTTP 502 Bad Gateway")
    assert shown["tried_at"] < shown["next_try_at"]
    assert woken > 1
    answer = desk.query(task_id)
    (told,) = answer["dashscribe"]["callbacks"]
    assert told.pop("last_try") < told.pop("next_try")
    assert told == {
        "delivery": delivery["id"],
        "target": target["id"],
        "state": "waiting",
        "attempts": 1,
        "http_status": 502,
        "error": "HTTP 502 Bad Gateway",
    }


def test_base_of_urls_is_the_one_the_submit_call_was_told(desk: Desk) -> None:
    add(desk)
    canceled(desk, {"Host": "asr.example.org:8443"})
    claimed = deliveries.claim(desk.engine)
    assert claimed is not None
    assert claimed.base_url == "http://asr.example.org:8443"


def test_deliveries_are_filtered_and_paged(desk: Desk) -> None:
    first, second = add(desk), add(desk, models=["paraformer-v2"])
    tasks = [canceled(desk), canceled(desk, model="paraformer-v2"), canceled(desk)]
    assert [d["task_id"] for d in listed(desk)] == [tasks[2], tasks[1], tasks[1], tasks[0]]
    assert [d["task_id"] for d in listed(desk, target_id=second["id"])] == [tasks[1]]
    assert {d["target_id"] for d in listed(desk, task_id=tasks[1])} == {first["id"], second["id"]}
    assert listed(desk, state="dead") == []
    newest, *rest = listed(desk)
    assert listed(desk, limit=1) == [newest]
    assert listed(desk, before=newest["id"]) == rest


@pytest.mark.parametrize("query", [{"state": "gone"}, {"limit": "0"}, {"limit": "101"}, {"before": "x"}])
def test_filter_that_is_out_of_range_is_refused(refusing: Desk, query: dict[str, str]) -> None:
    assert_refused(refusing.http.get(f"{PATH}/deliveries", params=query), 400, "InvalidParameter", "")


def test_replay_queues_a_delivery_that_has_ended(desk: Desk) -> None:
    add(desk)
    canceled(desk)
    (delivery,) = listed(desk)
    path = f"{PATH}/deliveries/{delivery['id']}/replay"
    assert_refused(desk.http.post(path), 409, "Conflict", "")
    claimed = deliveries.claim(desk.engine)
    assert claimed is not None
    deliveries.book(desk.engine, claimed, Outcome(http_status=200))
    assert listed(desk)[0]["state"] == "delivered"
    response = desk.http.post(path)
    assert (response.status_code, checked(response)["state"]) == (202, "waiting")
    again = deliveries.claim(desk.engine)
    assert again is not None
    assert (again.event_id, again.tries) == (delivery["event_id"], 0)
    assert_refused(desk.http.post(f"{PATH}/deliveries/999/replay"), 404, "NotFound", "")
    assert_refused(desk.http.post(f"{PATH}/deliveries/x/replay"), 404, "NotFound", "")


def test_test_queues_an_event_of_its_own(desk: Desk) -> None:
    target = add(desk, paused=True)
    response = desk.http.post(f"{PATH}/targets/{target['id']}/test")
    assert response.status_code == 202
    told = checked(response)
    assert (told["test"], told["state"]) == (True, "waiting")
    shown = checked(desk.http.get(f"{PATH}/deliveries/{told['id']}"))
    assert shown["event"]["type"] == "dashscribe:System:CallbackTest"
    assert "task_id" not in told
    assert_refused(desk.http.post(f"{PATH}/targets/{target['id']}/test"), 409, "Conflict", "")


# --- certificates -----------------------------------------------------------------------------------------------------


def test_certificate_is_served_without_a_key_and_outlives_a_rotation(desk: Desk) -> None:
    old = SigningKeys(desk.engine).current().fingerprint
    new = checked(desk.http.post(f"{PATH}/rotate"))["fingerprint"]
    assert new != old
    for fingerprint in (old, new):
        response = desk.http.get(f"{PATH}/certificates/{fingerprint}.pem", headers={"Authorization": ""})
        assert response.status_code == 200
        certificate = x509.load_pem_x509_certificate(response.content)
        assert certificate.fingerprint(certificate.signature_hash_algorithm).hex() == fingerprint  # type: ignore[arg-type]
        assert "PRIVATE" not in response.text
    newest, retired = checked(desk.http.get(f"{PATH}/certificates"))["certificates"]
    assert (newest["fingerprint"], retired["fingerprint"]) == (new, old)
    assert "retired_at" in retired
    assert "retired_at" not in newest


@pytest.mark.parametrize("name", [f"{'0' * 64}.pem", "x.pem", f"{'0' * 64}", "..%2f..%2fetc"])
def test_certificate_that_is_not_there_is_not_found(refusing: Desk, name: str) -> None:
    assert_refused(refusing.http.get(f"{PATH}/certificates/{name}"), 404, "NotFound", "")


def test_only_the_operator_rotates(desk: Desk, somebody: dict[str, str]) -> None:
    assert_refused(desk.http.post(f"{PATH}/rotate", headers=somebody), 403, "AccessDenied", "")
    token = desk.http.post("/api/v1/tokens").json()["token"]
    lent = {"Authorization": f"Bearer {token}"}
    assert_refused(desk.http.post(f"{PATH}/rotate", headers=lent), 403, "AccessDenied", "")
    assert KEY not in desk.http.post(f"{PATH}/rotate").text
