"""Deliveries: an event on its way to one target; claimed, booked, tried again, and looked up afterwards.

The rows are the only list of what is to be sent. No target gets more than a few slots at once, those that answer badly
only one, and all of those together at most half: who is slow holds up nobody else.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Case,
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from dashscribe import fleet
from dashscribe.db import DatabaseClock, database_now, reading, tables, writing
from dashscribe.db.tables import DeliveryState
from dashscribe.errors import ConflictError, NotFoundError
from dashscribe.fleet import ANYONE, Member
from dashscribe.notify.targets import REMOVED, Policy, Target, managed_by, target_of

#: Deliveries at once: they wait for networks. Of them at most so many to one target.
SLOTS, TARGET_SLOTS = 16, 4
#: BACKOFF_RETRY: so many retries, at random so many seconds apart (api-async section 8.4).
BACKOFF_RETRIES, BACKOFF_S = 3, (10.0, 20.0)
#: EXPONENTIAL_DECAY_RETRY: so many retries, 1, 2, 4 … seconds apart up to this: one day in all.
DECAY_RETRIES, DECAY_S, LONGEST_DECAY_S = 176, 1.0, 512.0
#: How long an event is kept that some target never got, in milliseconds after it was stored or last tried, unless
#: DASHSCRIBE_RETENTION is longer.
DEAD_LIVES_MS = 7 * 24 * 3600 * 1000
#: When tests are due: they go out although their target is paused, which is when one tests.
TEST_DUE_MS = -1
#: What is kept of an answer's body and of an error, in characters.
KEPT_CHARS = 500

_delivery, _event, _target = tables.callback_deliveries, tables.callback_events, tables.callback_targets
_task = tables.tasks
_GONE = _delivery.c.target_id.in_(select(_target.c.id).where(_target.c.removed))
_ENDED = (DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.DROPPED)
_NOT_GOT = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.DEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """A delivery as a slot claimed it; ``claim`` entitles the slot to write. ``tries`` have failed before this one.

    ``request_id`` and ``traceparent`` are those of the task's submit call; empty for a test, which is of no task.
    """

    id: int
    claim: int
    tries: int
    event_id: str
    task_id: str
    request_id: str
    traceparent: str
    body: str
    base_url: str
    stored_ms: int
    target: Target

    @property
    def owner(self) -> str:
        """Whose slots it takes: here it is targets that share, not owners."""
        return self.target.id

    @property
    def interrupted(self) -> int:
        """Never counted: to send an event takes no worker down, and it has to be sent however often they end."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one try: the status and the first bytes of an answer, or why there was none."""

    http_status: int | None = None
    response: str = ""
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the target has it."""
        return not self.error


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery as it is looked up. Instants are epoch milliseconds; ``due_ms`` is 0 unless a try is put off."""

    id: int
    event_id: str
    task_id: str
    owner: str
    model: str
    task_status: str
    state: DeliveryState
    attempts: int
    http_status: int | None
    response: str
    error: str
    created_ms: int
    tried_ms: int | None
    due_ms: int
    target: Target
    body: str = ""


# --- what a slot does -------------------------------------------------------------------------------------------------


def _servable(busy: Collection[str]) -> Select[Any]:
    """The targets that have something due and may get a slot, the one that has waited longest first.

    Owners come in turn, and of each its targets: one with fifty slow ones has no more turns than one with one.
    """
    sending = _delivery.c.state == DeliveryState.SENDING
    held = select(func.count()).where(_delivery.c.target_id == _target.c.id, sending).scalar_subquery()
    failing = select(_target.c.id).where(_target.c.failures > 0)
    held_by_failing = select(func.count()).where(sending, _delivery.c.target_id.in_(failing)).scalar_subquery()
    may_have = or_(
        and_(_target.c.failures == 0, held < TARGET_SLOTS),
        and_(_target.c.failures > 0, held == 0, held_by_failing < SLOTS // 2),
    )
    until = case((_target.c.paused, TEST_DUE_MS), else_=database_now())
    waiting = (_delivery.c.target_id == _target.c.id, _delivery.c.state == DeliveryState.WAITING)
    any_due = exists().where(*waiting, _delivery.c.due_ms <= until)
    of_owner = _target.alias()
    owner_served_ms = select(func.max(of_owner.c.served_ms)).where(of_owner.c.owner == _target.c.owner)
    return (
        select(_target.c.id)
        .where(_target.c.removed.is_(False), _target.c.id.not_in(busy), may_have, any_due)
        .order_by(owner_served_ms.scalar_subquery(), _target.c.served_ms, _target.c.id)
        .limit(1)
    )


def is_due(engine: Engine) -> bool:
    """Whether some delivery is to be sent now, by a slot that it may get."""
    with reading(engine) as connection:
        return _next_target(connection, ()) is not None


def _next_target(connection: Connection, busy: Collection[str]) -> str | None:
    due = (_delivery.c.state == DeliveryState.WAITING, _delivery.c.due_ms <= database_now())
    some = select(_delivery.c.id).where(*due).limit(1)
    if connection.execute(some).first() is None:  # mostly so, and found at the first row of an index
        return None
    return connection.execute(_servable(busy)).scalars().first()


def claim(engine: Engine, busy: Collection[str] = (), by: Member = ANYONE) -> ClaimedDelivery | None:
    """Take the delivery that is due first of the target whose turn it is; ``busy`` targets get nothing more."""
    with reading(engine) as connection:
        if _next_target(connection, busy) is None:
            return None
    with writing(engine) as connection:
        target_id = _next_target(connection, busy)
        target = connection.execute(select(_target).where(_target.c.id == target_id)).mappings().one_or_none()
        if target is None:
            return None
        until = TEST_DUE_MS if target["paused"] else database_now()
        waiting = (_delivery.c.state == DeliveryState.WAITING, _delivery.c.due_ms <= until)
        due = (_delivery.c.target_id == target_id, *waiting)
        first = select(_delivery.c.id).where(*due).order_by(_delivery.c.due_ms, _delivery.c.id).limit(1)
        mine = _delivery.c.id == first.with_for_update(skip_locked=True).scalar_subquery()
        taken = {"state": DeliveryState.SENDING, "claim": _delivery.c.claim + 1, "worker": by.id}
        row = connection.execute(
            update(_delivery).where(mine, _delivery.c.state == DeliveryState.WAITING).values(taken).returning(_delivery)
        ).one_or_none()
        if row is None:
            return None
        connection.execute(update(_target).where(_target.c.id == target_id).values(served_ms=DatabaseClock()))
        of_task = (_task.c.request_id, _task.c.traceparent)  # of a test there is no task
        joined = select(_event, *of_task).outerjoin(_task, _task.c.id == _event.c.task_id)
        event = connection.execute(joined.where(_event.c.id == row.event_id)).one()
    return ClaimedDelivery(
        id=row.id,
        claim=row.claim,
        tries=row.tries,
        event_id=event.id,
        task_id=event.task_id,
        body=event.body,
        request_id=event.request_id or "",
        traceparent=event.traceparent or "",
        base_url=event.base_url,
        stored_ms=event.created_ms,
        target=target_of(target),
    )


def book(engine: Engine, delivery: ClaimedDelivery, outcome: Outcome) -> DeliveryState | None:
    """Keep what came of a try: what the delivery is from now on, None if the claim has passed on."""
    tries = delivery.tries + 1
    pause_s = None if outcome.is_good else retry_pause_s(delivery, tries)
    values: dict[str, object] = {"attempts": _delivery.c.attempts + 1, "tries": tries, "worker": ""}
    values["tried_ms"] = DatabaseClock()
    values |= {"http_status": outcome.http_status, "error": outcome.error[:KEPT_CHARS]}
    values["response"] = outcome.response[:KEPT_CHARS]
    if outcome.is_good:
        values["state"] = DeliveryState.DELIVERED
    elif pause_s is not None:
        values["state"] = _unless_gone(DeliveryState.WAITING)
        values["due_ms"] = DatabaseClock() + round(pause_s * 1000)
    else:
        values["state"] = _unless_gone(DeliveryState.DEAD if delivery.target.dead_letters else DeliveryState.DROPPED)
    with writing(engine) as connection:
        state = _set(connection, delivery, values)
        if state is None:
            return None
        failures = {"failures": 0 if outcome.is_good else _target.c.failures + 1}
        connection.execute(update(_target).where(_target.c.id == delivery.target.id).values(failures))
    return state


def _unless_gone(state: DeliveryState) -> Case[str]:
    """The state of what was not delivered; dropped where its target was removed while it was tried."""
    return case((_GONE, DeliveryState.DROPPED.value), else_=state.value)


def retry_pause_s(delivery: ClaimedDelivery, tries: int) -> float | None:
    """How long to wait after so many tries before the next one, in seconds; None if there is none."""
    if not delivery.task_id:
        return None  # a test: somebody waits for its outcome
    if delivery.target.policy is Policy.BACKOFF:
        return random.uniform(*BACKOFF_S) if tries <= BACKOFF_RETRIES else None  # noqa: S311 (no secret)
    return min(DECAY_S * 2.0 ** min(tries - 1, 30), LONGEST_DECAY_S) if tries <= DECAY_RETRIES else None


def release(engine: Engine, delivery: ClaimedDelivery, after_ms: int = 0) -> bool:
    """Give it back untried, to be claimed again in ``after_ms`` at the earliest."""
    with writing(engine) as connection:
        return _set(connection, delivery, _untried(after_ms)) is not None


def _untried(after_ms: int = 0) -> dict[str, object]:
    """How a delivery waits again, at once by default, whatever the clock says; tests stay tests."""
    due_ms = case((_delivery.c.due_ms == TEST_DUE_MS, TEST_DUE_MS), else_=DatabaseClock() + after_ms if after_ms else 0)
    error = case((_GONE, REMOVED), else_=_delivery.c.error)
    return {"state": _unless_gone(DeliveryState.WAITING), "due_ms": due_ms, "error": error, "worker": ""}


def recover(engine: Engine, worker: str | None = None, but_for: Collection[int] = ()) -> int:
    """Free the claims of that worker, or of all that are gone, as ``files.recover`` does; how many there were.

    What they may have sent is sent again.
    """
    with writing(engine) as connection:
        held = fleet.held(_delivery, worker, but_for)
        left = update(_delivery).where(_delivery.c.state == DeliveryState.SENDING, held)
        return connection.execute(left.values(_untried())).rowcount


def _set(connection: Connection, delivery: ClaimedDelivery, values: dict[str, object]) -> DeliveryState | None:
    """Change the row if it is still this claim's: the state that it has now."""
    mine = (_delivery.c.state == DeliveryState.SENDING, _delivery.c.claim == delivery.claim)
    changed = update(_delivery).where(_delivery.c.id == delivery.id, *mine).values(values)
    state = connection.execute(changed.returning(_delivery.c.state)).scalar_one_or_none()
    return None if state is None else DeliveryState(state)


# --- what people ask --------------------------------------------------------------------------------------------------


def _looked_up(*conditions: object, with_body: bool = False) -> Select[Any]:
    """Deliveries with their event and target; columns of these have a prefix."""
    event = [_event.c[name].label(f"event_{name}") for name in ("task_id", "owner", "model", "status")]
    if with_body:
        event.append(_event.c.body.label("event_body"))
    target = [column.label(f"target_{column.name}") for column in _target.c]
    joined = _delivery.join(_event, _event.c.id == _delivery.c.event_id).join(
        _target, _target.c.id == _delivery.c.target_id
    )
    columns = [column for column in _delivery.c if column.name not in ("target_id", "due_ms")]
    due = _delivery.c.due_ms.label("due_ms")
    return select(*columns, due, *event, *target).select_from(joined).where(*conditions)  # type: ignore[arg-type]


def _delivery_of(row: RowMapping) -> Delivery:
    target = {column.name: row[f"target_{column.name}"] for column in _target.c}
    same = ("id", "event_id", "attempts", "http_status", "response", "error", "created_ms", "tried_ms")
    return Delivery(
        **{name: row[name] for name in same},
        **{name: row[f"event_{name}"] for name in ("task_id", "owner", "model")},
        task_status=row["event_status"],
        state=DeliveryState(row["state"]),
        due_ms=max(row["due_ms"], 0) if row["state"] == DeliveryState.WAITING else 0,
        target=target_of(target),  # type: ignore[arg-type]
        body=row.get("event_body", ""),
    )


def find(engine: Engine, owner: str, delivery_id: int, *, operates: bool) -> Delivery:
    """A delivery to a target that this owner manages, with the event. Raises NotFoundError."""
    mine = (_delivery.c.id == delivery_id, managed_by(owner, operates=operates))
    with reading(engine) as connection:
        row = connection.execute(_looked_up(*mine, with_body=True)).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"There is no delivery {delivery_id} of this key.")
    return _delivery_of(row)


def listed(
    engine: Engine,
    owner: str,
    *,
    operates: bool,
    target_id: str = "",
    task_id: str = "",
    state: DeliveryState | None = None,
    before: int = 0,
    limit: int = 20,
) -> Sequence[Delivery]:
    """Deliveries to targets that this owner manages, the newest first; ``before`` a number goes on with a list."""
    matching: list[object] = [managed_by(owner, operates=operates)]
    for column, value in ((_delivery.c.target_id, target_id), (_event.c.task_id, task_id), (_delivery.c.state, state)):
        if value:
            matching.append(column == value)
    if before:
        matching.append(_delivery.c.id < before)
    with reading(engine) as connection:
        rows = connection.execute(_looked_up(*matching).order_by(_delivery.c.id.desc()).limit(limit)).mappings().all()
    return [_delivery_of(row) for row in rows]


def of_task(connection: Connection, owner: str, task_id: str) -> tuple[Delivery, ...]:
    """How the owner's own targets were told of a task, in the order in which they were made."""
    mine = (_event.c.task_id == task_id, _target.c.owner == owner)
    rows = connection.execute(_looked_up(*mine).order_by(_delivery.c.id)).mappings().all()
    return tuple(_delivery_of(row) for row in rows)


def replay(engine: Engine, owner: str, delivery_id: int, *, operates: bool) -> Delivery:
    """Send an event again that was delivered or given up, under its old id. Raises NotFoundError, ConflictError."""
    found = find(engine, owner, delivery_id, operates=operates)
    again = {"state": DeliveryState.WAITING, "due_ms": 0, "tries": 0}
    with writing(engine, urgent=True) as connection:
        gone = select(_target.c.id).where(_target.c.id == found.target.id, _target.c.removed)
        if connection.execute(gone).first() is not None:
            raise ConflictError("Its target was removed: add it anew, it will be told of later tasks.")
        ended = (_delivery.c.id == delivery_id, _delivery.c.state.in_(_ENDED))
        if not connection.execute(update(_delivery).where(*ended).values(again)).rowcount:
            raise ConflictError("It is on its way: `show` tells when it is tried next.")
    return find(engine, owner, delivery_id, operates=operates)


def expire(engine: Engine, now: int, task_lives_ms: int, limit: int = 100) -> int:
    """Forget some events that are past their time at this instant; how many.

    Events live as long as tasks after their end; those that some target has not got, a week at least after they were
    stored or last tried, and until a target that is not paused has had its first try.
    """
    over = _is_over(now, task_lives_ms)
    with reading(engine) as connection:
        ids = connection.execute(select(_event.c.id).where(over).limit(limit)).scalars().all()
    if ids:
        with writing(engine) as connection:  # once more: one may have been replayed meanwhile
            connection.execute(delete(_event).where(_event.c.id.in_(ids), over))
    else:
        _forget_targets(engine)
    return len(ids)


def _is_over(now: int, task_lives_ms: int) -> ColumnElement[bool]:
    """Which events are past their time at this instant."""
    since = now - max(task_lives_ms, DEAD_LIVES_MS)
    sends = exists().where(_target.c.id == _delivery.c.target_id, ~_target.c.paused, ~_target.c.removed)
    untried = and_(_delivery.c.state == DeliveryState.WAITING, _delivery.c.tries == 0, sends)
    under_way = or_(_delivery.c.state == DeliveryState.SENDING, untried)
    is_young = or_(_event.c.created_ms > since, _delivery.c.tried_ms > since)
    not_got = (_delivery.c.event_id == _event.c.id, _delivery.c.state.in_(_NOT_GOT))
    return and_(_event.c.created_ms <= now - task_lives_ms, ~exists().where(*not_got, or_(is_young, under_way)))


def _forget_targets(engine: Engine) -> None:
    """Removed targets go with the last delivery that names them.

    What was given back in the instant in which its target was removed waits in vain until now.
    """
    in_vain = (_delivery.c.state == DeliveryState.WAITING, _GONE)
    unnamed = (_target.c.removed, ~exists().where(_delivery.c.target_id == _target.c.id))
    with reading(engine) as connection:
        looks = (select(_delivery.c.id).where(*in_vain), select(_target.c.id).where(*unnamed))
        if all(connection.execute(look.limit(1)).first() is None for look in looks):
            return
    with writing(engine) as connection:
        dropped = {"state": DeliveryState.DROPPED, "error": REMOVED}
        connection.execute(update(_delivery).where(*in_vain).values(dropped))
        connection.execute(delete(_target).where(*unnamed))
