"""Delivers an event to one target: one try, and the decision when the next one comes."""

from __future__ import annotations

import logging

from dashscribe.db import is_trouble, now_ms, said
from dashscribe.db.tables import DeliveryState
from dashscribe.notify import deliveries
from dashscribe.notify.deliveries import ClaimedDelivery, Outcome
from dashscribe.notify.sending import Sender
from dashscribe.steps.bench import Bench
from dashscribe.steps.booking import TROUBLE_MS

logger = logging.getLogger(__name__)

#: What the metric calls the states that a try can lead to.
_OUTCOMES = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.WAITING: "retried",
    DeliveryState.DEAD: "dead",
    DeliveryState.DROPPED: "dropped",
}


def deliver(bench: Bench, sender: Sender, claimed: ClaimedDelivery) -> None:
    """Try once. A program that ends between the try and its booking tries again: at least once, never lost."""
    _book(bench, claimed, sender.send(claimed))


def book(bench: Bench, claimed: ClaimedDelivery, error: Exception) -> None:
    """Decide how a delivery goes on whose try ended with an error that is not the target's."""
    if is_trouble(error):
        logger.warning("delivery %d waits for the database: %s", claimed.id, error)
        deliveries.release(bench.engine, claimed, after_ms=TROUBLE_MS)
        return
    logger.error("delivery %d: an error that nobody foresaw", claimed.id, exc_info=error)
    _book(bench, claimed, Outcome(error=f"{type(error).__name__}: {said(error)}"))


def _book(bench: Bench, claimed: ClaimedDelivery, outcome: Outcome) -> None:
    state = deliveries.book(bench.engine, claimed, outcome)
    if state is None:
        return  # somebody else has it
    bench.telemetry.callback_tried(_OUTCOMES[state])
    if state is DeliveryState.DELIVERED:
        bench.telemetry.callback_delivered((now_ms() - claimed.stored_ms) / 1000)
        return
    level, next_step = logging.WARNING, state.value
    if state is DeliveryState.WAITING:
        level, next_step = logging.INFO, "it is tried again"
    # Scheme and host only: the rest of a callback URL may hold a secret.
    what = f"{claimed.task_id or 'a test'} to {claimed.target.id} at {claimed.target.place}"
    logger.log(level, "delivery %d, %s: %s; %s", claimed.id, what, outcome.error, next_step)
