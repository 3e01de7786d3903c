"""Owners share what is recognized by their weights, whatever they bring and whenever they come: the order alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, delete, insert, select, update

from dashscribe import order
from dashscribe.db import tables
from dashscribe.db.tables import WindowState

LONGEST_MS = 60_000


@dataclass
class Owner:
    """Brings windows of these lengths from the ``begins``-th claim on; ``ahead`` of them are cut and wait."""

    name: str
    weight: int
    begins: int
    ahead: int
    lengths: list[int]
    heard_ms: int = 0
    ready: int = 0
    since: dict[str, tuple[int, int]] = field(default_factory=dict)  # by other owner: both sums when both had work


def owners() -> st.SearchStrategy[list[tuple[int, int, int, list[int]]]]:
    lengths = st.lists(st.integers(1000, LONGEST_MS), min_size=5, max_size=60)
    one = st.tuples(st.integers(1, 5), st.integers(0, 40), st.integers(1, 20), lengths)
    return st.lists(one, min_size=2, max_size=4)


@settings(max_examples=25)
@given(owners())
def test_shares_follow_the_weights_within_a_window_of_each(brought: list[tuple[int, int, int, list[int]]]) -> None:
    line = [Owner(f"o{at}", *one) for at, one in enumerate(brought)]
    engine = create_engine("sqlite://")
    tables.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(
            insert(tables.owners), [{"name": one.name, "weight": one.weight, "tag_ms": 0} for one in line]
        )
        for turn in range(sum(len(one.lengths) for one in line) + 200):
            _cut(connection, line, turn)
            _compare(line, turn)
            _serve(connection, line)
    assert not any(one.lengths or one.ready for one in line), "somebody starved"


def _cut(connection: Connection, line: Sequence[Owner], turn: int) -> None:
    for number, one in enumerate(line):
        while turn >= one.begins and one.lengths and one.ready < one.ahead:
            length_ms = one.lengths.pop()
            tag_ms = order.window_tag(connection, one.name, length_ms)
            order.charge(connection, one.name, length_ms)
            place = {"file_id": number, "channel": 0, "number": len(one.lengths), "generation": 1, "spans": "[]"}
            audio = {"speech_ms": length_ms, "audio_key": "", "audio_bytes": 0, "audio_sha256": ""}
            values = {"state": WindowState.READY, "tag_ms": tag_ms, **place, **audio}
            connection.execute(insert(tables.windows).values(**values))
            one.ready += 1


def _serve(connection: Connection, line: Sequence[Owner]) -> None:
    """One slot: what it was at is done, and it takes the next in the order."""
    window = tables.windows
    connection.execute(delete(window).where(window.c.state == WindowState.CLAIMED))
    first = select(window).where(window.c.state == WindowState.READY).order_by(window.c.tag_ms, window.c.id).limit(1)
    row = connection.execute(first).one_or_none()
    if row is not None:
        connection.execute(update(window).where(window.c.id == row.id).values(state=WindowState.CLAIMED))
        line[row.file_id].ready -= 1
        line[row.file_id].heard_ms += row.speech_ms


def _compare(line: Sequence[Owner], turn: int) -> None:
    for one in line:
        for other in line:
            if one is other:
                continue
            if not (one.ready and other.ready):
                one.since.pop(other.name, None)
                continue
            mine_ms, theirs_ms = one.since.setdefault(other.name, (one.heard_ms, other.heard_ms))
            share, their_share = (one.heard_ms - mine_ms) / one.weight, (other.heard_ms - theirs_ms) / other.weight
            bound = LONGEST_MS / one.weight + LONGEST_MS / other.weight + turn  # a millisecond of rounding per turn
            assert abs(share - their_share) <= bound, (one, other)
