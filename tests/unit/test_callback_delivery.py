"""Events on their way: sent, tried again, given up, replayed; slow targets beside quick ones; what is left of them."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from callback_consumer import Consumer, proved
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from durable import Home, shorten_waits, speech
from sqlalchemy import func, select, update

from dashscribe import files
from dashscribe.callbacks import verify
from dashscribe.db import clock_ms, now_ms, reading, tables, writing
from dashscribe.db.tables import DeliveryState
from dashscribe.errors import ConflictError
from dashscribe.notify import deliveries, events, rocketmq, signing
from dashscribe.notify.deliveries import ClaimedDelivery, Delivery, Outcome
from dashscribe.notify.sending import Sender
from dashscribe.notify.signing import SigningKeys
from dashscribe.notify.targets import Policy, Scheme, Target, TargetBook
from dashscribe.queue import worker as queue_worker
from dashscribe.steps import deliver, expire

URL = "https://media.example.net/a.wav"
BASE = "https://asr.example.org"
HOUR_MS, WEEK_MS = 3600 * 1000, 7 * 24 * 3600 * 1000
SECRETS = {"url": "?key=url-secret", "token": "token-secret-1234"}


@pytest.fixture(scope="module")
def rsa_key() -> RSAPrivateKey:
    """One key for all homes: to make one takes a quarter of a second."""
    return generate_private_key(65537, signing.KEY_BITS)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, rsa_key: RSAPrivateKey) -> None:
    shorten_waits(monkeypatch)
    monkeypatch.setattr(rsa, "generate_private_key", lambda *how: rsa_key)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    opened = Home(tmp_path, {URL: speech(1, 1000)}, fetch_allow="127.0.0.1")
    yield opened
    opened.worker.stop()


@pytest.fixture
def consume() -> Iterator[Callable[..., Consumer]]:
    made: list[Consumer] = []

    def make(*answers: int) -> Consumer:
        made.append(Consumer(*answers))
        return made[-1]

    yield make
    for consumer in made:
        consumer.close()


def add(home: Home, url: str, **members: Any) -> Target:
    return TargetBook(home.engine).add(Target(**{"owner": "default", "url": url, **members}))


def end_task(home: Home) -> str:
    """A task that ends at once: as CANCELED, or as FAILED where the worker has begun with it."""
    task = home.submit(URL, base_url=BASE)
    if not home.book.cancel("default", task.id):
        files.time_out(home.engine, 2**50, "InternalError.Timeout", "too late")
    return task.id


def wait_for(home: Home, *states: DeliveryState, seconds: float = 20.0) -> list[Delivery]:
    """All deliveries, the oldest first, once they are in these states."""
    until = time.monotonic() + seconds
    while True:
        found = list(reversed(deliveries.listed(home.engine, "default", operates=True, limit=100)))
        if [delivery.state for delivery in found] == list(states):
            return found
        assert time.monotonic() < until, found
        time.sleep(0.01)


def claim(home: Home, busy: tuple[str, ...] = ()) -> ClaimedDelivery:
    claimed = deliveries.claim(home.engine, busy)
    assert claimed is not None
    return claimed


def claimed_with(policy: Policy) -> ClaimedDelivery:
    target = Target(owner="", url="http://x/", policy=policy)
    members = {"id": 1, "claim": 1, "tries": 0, "event_id": "e", "task_id": "t", "body": "", "base_url": ""}
    members |= {"request_id": "r", "traceparent": ""}
    return ClaimedDelivery(**members, stored_ms=0, target=target)


# --- one try ----------------------------------------------------------------------------------------------------------


def test_end_of_a_task_reaches_its_target_signed(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume()
    add(home, consumer.url, token="s3cret")
    home.worker.start()
    task = home.submit(URL, base_url=BASE)
    home.worker.wake()
    (received,) = consumer.wait(1)
    (delivery,) = wait_for(home, DeliveryState.DELIVERED)
    assert received.path == "/done?tenant=7"
    assert received.headers["content-type"] == "application/json;charset=utf-8"
    assert received.headers["x-eventbridge-signature-token"] == "s3cret"
    assert received.event["data"]["task_id"] == task.id
    assert received.body.decode() == deliveries.find(home.engine, "default", delivery.id, operates=False).body
    key = SigningKeys(home.engine).current().fingerprint
    certificate = SigningKeys(home.engine).certificate(key) or ""
    where = f"{BASE}/dashscribe/v1/callbacks/certificates/{key}.pem"
    assert received.headers["x-eventbridge-signature-url"] == where
    assert proved(received, consumer.url, certificate)
    found = verify(consumer.url, received.headers, received.body, certificate=certificate, token="s3cret")
    assert (found.id, found.task_id, found.status) == (delivery.event_id, task.id, "SUCCEEDED")
    assert (delivery.http_status, delivery.attempts, delivery.error) == (200, 1, "")


def test_certificate_lies_below_the_public_url_where_one_is_set(
    tmp_path: Path, consume: Callable[..., Consumer]
) -> None:
    consumer = consume()
    home = Home(tmp_path, fetch_allow="127.0.0.1", public_url="https://public.example.org/")
    add(home, consumer.url)
    end_task(home)
    assert Sender(home.settings, SigningKeys(home.engine)).send(claim(home)).is_good
    url = consumer.received[0].headers["x-eventbridge-signature-url"]
    assert url.startswith("https://public.example.org/dashscribe/v1/callbacks/certificates/")


def test_legacy_target_gets_the_legacy_signature(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume()
    add(home, consumer.url, signature=Scheme.LEGACY)
    end_task(home)
    keys = SigningKeys(home.engine)
    assert Sender(home.settings, keys).send(claim(home)).is_good
    (received,) = consumer.received
    certificate = keys.certificate(keys.current().fingerprint) or ""
    verify(consumer.url, received.headers, received.body, certificate=certificate, legacy=True)


def try_once(home: Home, url: str, **settings: Any) -> Outcome:
    add(home, url)
    end_task(home)
    sender = Sender(home.settings.model_copy(update=settings), SigningKeys(home.engine))
    return sender.send(claim(home))


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_any_answer_but_2xx_is_a_failure_and_no_redirect_is_followed(
    home: Home, consume: Callable[..., Consumer], status: int
) -> None:
    consumer = consume(status)
    outcome = try_once(home, consumer.url)
    assert not outcome.is_good
    assert outcome.http_status == status
    assert outcome.error.startswith(f"HTTP {status}")
    assert outcome.response.startswith(f"why: {status}")
    assert len(outcome.response) <= 500
    assert ("redirects" in outcome.error) == (status < 400)
    assert len(consumer.received) == 1


def test_target_that_answers_too_late_is_given_up(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer, go_on = consume(), threading.Event()
    consumer.on_event = lambda received: go_on.wait(20) and None
    outcome = try_once(home, consumer.url, callback_timeout_s=0.3)
    go_on.set()
    assert "no whole answer within 0.3 s" in outcome.error or "ReadTimeout" in outcome.error
    assert outcome.http_status is None


def test_target_that_drips_its_answer_is_given_up(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000:
                    if done.wait(0.05):
                        return
                    try:
                        connection.send(bytes([byte]))
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        outcome = try_once(home, f"http://127.0.0.1:{listener.getsockname()[1]}/", callback_timeout_s=4.0)
        done.set()
        thread.join(5)
    assert "within 4 s" in outcome.error


def test_target_that_never_reads_is_given_up(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        add(home, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        end_task(home)
        claimed = replace(claim(home), body="x" * 20_000_000)
        sender = Sender(home.settings.model_copy(update={"callback_timeout_s": 2.0}), SigningKeys(home.engine))
        assert "WriteTimeout" in sender.send(claimed).error


def test_refused_connection_and_broken_answer_are_told(home: Home, consume: Callable[..., Consumer]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "ConnectError" in try_once(home, f"http://127.0.0.1:{unused.getsockname()[1]}/").error
    outcome = try_once(home, consume(0).url)
    assert not outcome.is_good
    assert outcome.error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "[::1]", "2130706433"])
def test_addresses_of_private_networks_are_refused(home: Home, host: str) -> None:
    outcome = try_once(home, f"http://{host}:9/", fetch_allow="")
    assert "DASHSCRIBE_FETCH_ALLOW" in outcome.error


def test_rocketmq_without_its_client_is_a_clear_error(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(rocketmq, "import_module", missing)
    outcome = try_once(home, "rocketmq://127.0.0.1:8081/asr-done")
    assert "pip install 'dashscribe[rocketmq]'" in outcome.error


def test_rocketmq_gets_the_event_as_a_message_to_the_judged_address(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a stand-in with the names of the real client; no broker has ever been asked."""
    said: list[Any] = []

    class Client:
        Credentials = staticmethod(lambda *account: account)
        ClientConfiguration = staticmethod(lambda *given, **more: (given, more))

        class Message:
            topic = body = keys = tag = None

        class Producer:
            def __init__(self, *given: Any, **more: Any) -> None:
                said.append((given, more))

            def startup(self) -> None:
                said.append("up")

            def send(self, message: Any) -> None:
                said.append(message)

            def shutdown(self) -> None:
                said.append("down")

    monkeypatch.setattr(rocketmq, "import_module", lambda name: Client)
    add(home, "rocketmqs://127.0.0.1:8081/asr-done", token="access:secret")
    end_task(home)
    claimed = claim(home)
    assert Sender(home.settings, SigningKeys(home.engine)).send(claimed).is_good
    (given, more), up, message, down = said
    assert given == (((("127.0.0.1:8081", ("access", "secret")), {"request_timeout": 5})), ("asr-done",))
    assert more == {"tls_enable": True}
    assert (up, down) == ("up", "down")
    assert (message.topic, message.body.decode(), message.keys) == ("asr-done", claimed.body, claimed.event_id)
    refused = Sender(home.settings.model_copy(update={"fetch_allow": ""}), SigningKeys(home.engine)).send(claimed)
    assert "DASHSCRIBE_FETCH_ALLOW" in refused.error


# --- tries ------------------------------------------------------------------------------------------------------------


def test_backoff_tries_three_times_more_ten_to_twenty_seconds_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for tries in (1, 2, 3):
        pauses = {deliveries.retry_pause_s(claimed_with(Policy.BACKOFF), tries) for _ in range(50)}
        assert len(pauses) > 10
        assert all(pause is not None and 10 <= pause <= 20 for pause in pauses)
    assert deliveries.retry_pause_s(claimed_with(Policy.BACKOFF), 4) is None


def test_decay_doubles_its_pauses_and_gives_up_after_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pauses = [deliveries.retry_pause_s(claimed_with(Policy.DECAY), tries) for tries in range(1, 178)]
    assert pauses[:11] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512]
    assert set(pauses[10:176]) == {512}
    assert pauses[176] is None
    assert 23.5 * 3600 < sum(pause or 0 for pause in pauses) <= 24 * 3600


def test_event_is_tried_again_under_its_id_and_signed_anew(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume(500, 0, 302, 204)
    add(home, consumer.url)
    home.worker.start()
    task_id = end_task(home)
    home.worker.wake()
    received = consumer.wait(4)
    (delivery,) = wait_for(home, DeliveryState.DELIVERED)
    assert {one.id for one in received} == {delivery.event_id}
    assert {one.body for one in received} == {received[0].body}
    stamps = [int(one.headers["x-eventbridge-signature-timestamp"]) for one in received]
    assert stamps == sorted(set(stamps))
    certificate = SigningKeys(home.engine).certificate(SigningKeys(home.engine).current().fingerprint) or ""
    assert all(proved(one, consumer.url, certificate) for one in received)
    assert (delivery.attempts, delivery.http_status, delivery.task_id) == (4, 204, task_id)


def test_dead_letter_is_kept_and_can_be_replayed(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume(500)
    add(home, consumer.url)
    home.worker.start()
    end_task(home)
    home.worker.wake()
    (delivery,) = wait_for(home, DeliveryState.DEAD)
    assert (delivery.attempts, len(consumer.received)) == (4, 4)
    consumer.answers = [500, 200]
    deliveries.replay(home.engine, "default", delivery.id, operates=False)
    home.worker.wake()
    (delivery,) = wait_for(home, DeliveryState.DELIVERED)
    assert delivery.attempts == 6
    deliveries.replay(home.engine, "default", delivery.id, operates=False)
    home.worker.wake()
    assert len({one.id for one in consumer.wait(7)}) == 1
    wait_for(home, DeliveryState.DELIVERED)


def test_without_dead_letters_an_event_is_dropped(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume(500)
    add(home, consumer.url, dead_letters=False, policy=Policy.DECAY)
    end_task(home)
    last = replace(claim(home), tries=deliveries.DECAY_RETRIES)
    assert deliveries.book(home.engine, last, Outcome(error="HTTP 500")) is DeliveryState.DROPPED


def test_replay_of_what_is_on_its_way_or_has_no_target_is_refused(home: Home, consume: Callable[..., Consumer]) -> None:
    target = add(home, consume().url)
    end_task(home)
    (waiting,) = wait_for(home, DeliveryState.WAITING)
    with pytest.raises(ConflictError, match="on its way"):
        deliveries.replay(home.engine, "default", waiting.id, operates=False)
    TargetBook(home.engine).remove("default", target.id, operates=False)
    (dropped,) = wait_for(home, DeliveryState.DROPPED)
    assert dropped.error == "the target was removed"
    assert deliveries.claim(home.engine) is None
    with pytest.raises(ConflictError, match="removed"):
        deliveries.replay(home.engine, "default", dropped.id, operates=False)


def test_paused_target_gets_its_events_once_it_is_resumed(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume()
    target = add(home, consumer.url, paused=True)
    end_task(home)
    assert deliveries.claim(home.engine) is None
    assert not deliveries.is_due(home.engine)
    tested = events.store_test(home.engine, target, BASE, "UTC")
    assert claim(home).id == tested  # one may try a target before it is let loose
    assert deliveries.recover(home.engine) == 1
    again = claim(home)
    assert again.id == tested
    assert deliveries.release(home.engine, again)
    assert claim(home).id == tested
    TargetBook(home.engine).change("default", target.id, {"paused": False}, operates=False)
    home.worker.start()
    consumer.wait(2)
    wait_for(home, DeliveryState.DELIVERED, DeliveryState.DELIVERED)


@pytest.mark.one_machine
def test_claims_of_a_paused_target_cost_no_look_at_what_waits_for_it(home: Home) -> None:
    target = add(home, "http://127.0.0.1:9/", paused=True)
    end_task(home)
    with reading(home.engine) as connection:
        query = deliveries._servable(())
        compiled = query.compile(home.engine, compile_kwargs={"literal_binds": True})
        plan = " ".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}"))
    assert "ix_callback_deliveries_queue (target_id=? AND state=? AND due_ms<?)" in plan
    assert "SCAN callback_deliveries" not in plan
    assert deliveries.claim(home.engine, (target.id,)) is None


def test_test_is_tried_once(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume(500)
    target = add(home, consumer.url)
    events.store_test(home.engine, target, BASE, "UTC")
    home.worker.start()
    wait_for(home, DeliveryState.DEAD)
    assert len(consumer.received) == 1
    assert consumer.received[0].event["type"] == "dashscribe:System:CallbackTest"


# --- who waits for whom -----------------------------------------------------------------------------------------------


def test_target_that_hangs_holds_up_no_other(tmp_path: Path, consume: Callable[..., Consumer]) -> None:
    home = Home(tmp_path, {URL: speech(1, 1000)}, fetch_allow="127.0.0.1", callback_timeout_s=120.0)
    slow, fast, go_on = consume(), consume(), threading.Event()
    slow.on_event = lambda received: go_on.wait(180) and None
    add(home, slow.url)
    add(home, fast.url)
    home.worker.start()
    for _ in range(30):
        end_task(home)
    home.worker.wake()
    fast.wait(30, 60)
    assert len(slow.received) <= deliveries.TARGET_SLOTS
    go_on.set()
    slow.wait(30, 60)
    wait_for(home, *[DeliveryState.DELIVERED] * 60, seconds=60)


def test_targets_that_answer_badly_share_half_of_the_slots(home: Home) -> None:
    bad = [add(home, f"http://127.0.0.1:9/{number}") for number in range(12)]
    with writing(home.engine) as connection:
        connection.execute(update(tables.callback_targets).values(failures=1))
    good = add(home, "http://127.0.0.1:9/good")
    for _ in range(6):
        end_task(home)
    held: list[str] = []
    while claimed := deliveries.claim(home.engine):
        held.append(claimed.target.id)
    assert held.count(good.id) == deliveries.TARGET_SLOTS
    assert sum(target.id in held for target in bad) == deliveries.SLOTS // 2
    assert all(held.count(target.id) <= 1 for target in bad)
    assert not deliveries.is_due(home.engine)


def test_busy_target_gets_no_slot_and_targets_take_turns(home: Home) -> None:
    first, second = add(home, "http://127.0.0.1:9/1"), add(home, "http://127.0.0.1:9/2")
    for _ in range(2):
        end_task(home)
    turns = [claim(home).target.id]
    with writing(home.engine) as connection:  # a clock of milliseconds may not have moved
        table = tables.callback_targets
        connection.execute(update(table).values(served_ms=table.c.served_ms - 1).where(table.c.id != turns[0]))
    turns.append(claim(home).target.id)
    assert sorted(turns) == sorted([first.id, second.id])
    assert claim(home, (first.id,)).target.id == second.id
    assert deliveries.claim(home.engine, (first.id,)) is None


# --- what ends in between ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong_ms", [3_600_000, -3_600_000])
def test_retries_come_as_soon_whatever_the_clocks_of_workers_say(
    home: Home, monkeypatch: pytest.MonkeyPatch, wrong_ms: int
) -> None:
    monkeypatch.setattr(deliveries, "DECAY_S", 60.0)
    add(home, "http://127.0.0.1:9/", policy=Policy.DECAY)
    end_task(home)
    right_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right_ns() + wrong_ms * 1_000_000)
    taken = deliveries.claim(home.engine)
    assert taken is not None
    assert deliveries.book(home.engine, taken, Outcome(error="refused")) is DeliveryState.WAITING
    assert deliveries.claim(home.engine) is None
    with reading(home.engine) as connection:
        left_ms = connection.execute(select(tables.callback_deliveries.c.due_ms)).scalar_one() - clock_ms(connection)
    assert 50_000 < left_ms <= 60_000


def test_claim_that_has_passed_on_changes_nothing(home: Home) -> None:
    add(home, "http://127.0.0.1:9/")
    end_task(home)
    late = claim(home)
    assert deliveries.recover(home.engine) == 1
    again = claim(home)
    assert again.id == late.id
    assert deliveries.book(home.engine, late, Outcome(http_status=200)) is None
    assert not deliveries.release(home.engine, late)
    assert deliveries.book(home.engine, again, Outcome(http_status=200)) is DeliveryState.DELIVERED


@pytest.mark.parametrize("how", ["book", "book the last try", "release", "recover"])
def test_what_is_tried_while_its_target_is_removed_is_dropped(home: Home, how: str) -> None:
    target = add(home, "http://127.0.0.1:9/", policy=Policy.DECAY)
    end_task(home)
    tried = claim(home)
    TargetBook(home.engine).remove("default", target.id, operates=False)
    if how == "book":
        assert deliveries.book(home.engine, tried, Outcome(error="no answer")) is DeliveryState.DROPPED
    elif how == "book the last try":
        last = replace(tried, tries=deliveries.DECAY_RETRIES)
        assert deliveries.book(home.engine, last, Outcome(error="no answer")) is DeliveryState.DROPPED
    elif how == "release":
        assert deliveries.release(home.engine, tried, after_ms=5000)
    else:
        assert deliveries.recover(home.engine) == 1
    (dropped,) = deliveries.listed(home.engine, "default", operates=False)
    assert dropped.state is DeliveryState.DROPPED
    assert dropped.error == ("no answer" if "book" in how else "the target was removed")


def test_what_is_delivered_while_its_target_is_removed_is_delivered(home: Home) -> None:
    target = add(home, "http://127.0.0.1:9/")
    end_task(home)
    tried = claim(home)
    TargetBook(home.engine).remove("default", target.id, operates=False)
    assert deliveries.book(home.engine, tried, Outcome(http_status=200)) is DeliveryState.DELIVERED


def test_what_waits_for_a_removed_target_is_dropped_by_the_next_round(home: Home) -> None:
    target = add(home, "http://127.0.0.1:9/")
    end_task(home)
    with writing(home.engine) as connection:  # as an older program has left it
        connection.execute(update(tables.callback_targets).values(removed=True))
    assert deliveries.expire(home.engine, now_ms(), 1000 * 3600) == 0
    (dropped,) = deliveries.listed(home.engine, "default", operates=False)
    assert (dropped.state, dropped.target.id) == (DeliveryState.DROPPED, target.id)


def test_test_of_a_paused_target_is_given_back_as_one(home: Home) -> None:
    target = add(home, "http://127.0.0.1:9/", paused=True)
    tested = events.store_test(home.engine, target, BASE, "UTC")
    assert deliveries.release(home.engine, claim(home), after_ms=5000)  # the database was away
    assert claim(home).id == tested


def test_worker_that_starts_sends_what_another_one_left(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume()
    add(home, consumer.url)
    end_task(home)
    claim(home)
    home.worker.start()
    consumer.wait(1)
    wait_for(home, DeliveryState.DELIVERED)


def test_worker_that_stops_hands_back_what_it_sends(
    home: Home, consume: Callable[..., Consumer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_worker, "GRACE_S", 0.2)
    consumer, go_on = consume(), threading.Event()
    consumer.on_event = lambda received: go_on.wait(60) and None
    add(home, consumer.url)
    home.worker.start()
    end_task(home)
    home.worker.wake()
    consumer.wait(1)
    home.worker.stop()
    (delivery,) = wait_for(home, DeliveryState.WAITING)
    assert delivery.attempts == 0
    go_on.set()


def test_error_that_nobody_foresaw_counts_as_a_try(home: Home) -> None:
    add(home, "http://127.0.0.1:9/")
    end_task(home)
    deliver.book(home.bench, claim(home), RuntimeError("what"))
    (delivery,) = wait_for(home, DeliveryState.WAITING)
    assert (delivery.attempts, delivery.error) == (1, "RuntimeError: what")


# --- what is told and kept --------------------------------------------------------------------------------------------


def test_outcomes_and_latency_are_counted(home: Home, consume: Callable[..., Consumer]) -> None:
    consumer = consume(500, 200)
    add(home, consumer.url)
    home.worker.start()
    end_task(home)
    home.worker.wake()
    wait_for(home, DeliveryState.DELIVERED)
    registry = home.telemetry.registry

    def count(outcome: str) -> float | None:
        return registry.get_sample_value("dashscribe_callback_tries_total", {"outcome": outcome})

    until = time.monotonic() + 10
    while registry.get_sample_value("dashscribe_callback_seconds_count") != 1:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert [count(outcome) for outcome in ("delivered", "retried", "dead", "dropped")] == [1, 1, 0, 0]


def test_secrets_are_in_no_line_of_the_log(
    home: Home, consume: Callable[..., Consumer], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    consumer = consume(500)
    target = add(home, consumer.url.partition("?")[0] + SECRETS["url"], token=SECRETS["token"])
    home.worker.start()
    end_task(home)
    home.worker.wake()
    wait_for(home, DeliveryState.DEAD)
    home.worker.stop()
    assert target.id in caplog.text
    assert "url-secret" not in caplog.text
    assert SECRETS["token"] not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def count(home: Home, table: Any) -> int:
    with reading(home.engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_events_go_with_their_tasks_and_dead_letters_after_a_week(home: Home) -> None:
    target = add(home, "http://127.0.0.1:9/")
    end_task(home)
    assert deliveries.book(home.engine, claim(home), Outcome(http_status=200)) is DeliveryState.DELIVERED
    end_task(home)
    last = replace(claim(home), tries=3)
    assert deliveries.book(home.engine, last, Outcome(error="no")) is DeliveryState.DEAD
    TargetBook(home.engine).remove("default", target.id, operates=False)
    day_ms, now = 24 * 3600 * 1000, now_ms()
    expire.expire(home.bench, now + day_ms - 60_000)
    assert count(home, tables.callback_events) == 2
    expire.expire(home.bench, now + day_ms + 60_000)
    assert count(home, tables.tasks) == 0
    (left,) = deliveries.listed(home.engine, "default", operates=False)
    assert left.state is DeliveryState.DEAD
    assert count(home, tables.callback_targets) == 1
    expire.expire(home.bench, now + 7 * day_ms + 60_000)
    assert [count(home, table) for table in (tables.callback_events, tables.callback_deliveries)] == [0, 0]
    assert count(home, tables.callback_targets) == 0


def age(home: Home, ms: int) -> None:
    """Let all events have come, and been tried, so much earlier."""
    with writing(home.engine) as connection:
        event, delivery = tables.callback_events, tables.callback_deliveries
        connection.execute(update(event).values(created_ms=event.c.created_ms - ms))
        connection.execute(update(delivery).values(tried_ms=delivery.c.tried_ms - ms))


def forgotten(home: Home, in_ms: int = 0) -> int:
    """How many events a round forgets that comes so much later."""
    return deliveries.expire(home.engine, now_ms() + in_ms, 24 * HOUR_MS)


def give_up(home: Home) -> None:
    """The last try of what is due fails."""
    assert deliveries.book(home.engine, replace(claim(home), tries=3), Outcome(error="no")) is DeliveryState.DEAD


def test_dead_letter_lives_a_week_from_its_last_try_however_long_it_had_waited(home: Home) -> None:
    target = add(home, "http://127.0.0.1:9/", paused=True)
    end_task(home)
    age(home, WEEK_MS - HOUR_MS)
    TargetBook(home.engine).change("default", target.id, {"paused": False}, operates=False)
    give_up(home)
    assert [forgotten(home, ms) for ms in (2 * HOUR_MS, WEEK_MS - HOUR_MS)] == [0, 0]
    wait_for(home, DeliveryState.DEAD)
    assert forgotten(home, WEEK_MS + HOUR_MS) == 1


def test_late_replay_is_tried_to_its_end(home: Home) -> None:
    add(home, "http://127.0.0.1:9/")
    end_task(home)
    age(home, WEEK_MS)
    give_up(home)
    age(home, WEEK_MS - HOUR_MS)
    (dead,) = wait_for(home, DeliveryState.DEAD)
    deliveries.replay(home.engine, "default", dead.id, operates=False)
    assert forgotten(home, 2 * HOUR_MS) == 0  # it waits for its first try
    tried = claim(home)
    assert forgotten(home, 2 * HOUR_MS) == 0
    assert deliveries.book(home.engine, tried, Outcome(error="no")) is DeliveryState.WAITING
    assert forgotten(home, 2 * HOUR_MS) == 0
    with writing(home.engine) as connection:
        connection.execute(update(tables.callback_deliveries).values(due_ms=0))
    give_up(home)
    assert [forgotten(home, WEEK_MS + ms) for ms in (-HOUR_MS, HOUR_MS)] == [0, 1]


def test_what_is_replayed_while_a_round_looks_is_kept(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    add(home, "http://127.0.0.1:9/")
    end_task(home)
    give_up(home)
    age(home, WEEK_MS + HOUR_MS)
    (dead,) = wait_for(home, DeliveryState.DEAD)
    really = deliveries.writing

    def late(engine: Any) -> Any:
        monkeypatch.setattr(deliveries, "writing", really)
        deliveries.replay(home.engine, "default", dead.id, operates=False)
        return really(engine)

    monkeypatch.setattr(deliveries, "writing", late)
    forgotten(home)
    wait_for(home, DeliveryState.WAITING)


def test_what_waits_for_a_paused_target_is_forgotten_after_a_week(home: Home) -> None:
    add(home, "http://127.0.0.1:9/paused", paused=True)
    end_task(home)
    assert [forgotten(home, WEEK_MS + ms) for ms in (-HOUR_MS, HOUR_MS)] == [0, 1]
    add(home, "http://127.0.0.1:9/")
    end_task(home)
    assert forgotten(home, WEEK_MS + HOUR_MS) == 0


@pytest.mark.one_machine
def test_round_looks_at_old_events_only_and_at_the_deliveries_of_each(home: Home) -> None:
    with reading(home.engine) as connection:
        query = select(tables.callback_events.c.id).where(deliveries._is_over(now_ms(), HOUR_MS))
        compiled = query.compile(home.engine, compile_kwargs={"literal_binds": True})
        plan = " ".join(row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}"))
    assert "ix_callback_events_created (created_ms<?)" in plan
    assert "callback_deliveries_1 (event_id=?)" in plan
    assert "SCAN" not in plan


def test_owner_with_many_targets_has_no_more_turns_than_one_with_one(home: Home) -> None:
    book = TargetBook(home.engine)
    owners = ["many", "many", "many", "one"]
    added = [book.add(Target(owner=owner, url=f"http://127.0.0.1/{number}")) for number, owner in enumerate(owners)]
    for number, target in enumerate(added):
        events.store_test(home.engine, target, BASE, "UTC")
        with writing(home.engine) as connection:
            row = update(tables.callback_targets).where(tables.callback_targets.c.id == target.id)
            connection.execute(row.values(served_ms=number))
    claimed = [deliveries.claim(home.engine) for _ in added]
    assert [row.target.owner for row in claimed if row] == ["many", "one", "many", "many"]
