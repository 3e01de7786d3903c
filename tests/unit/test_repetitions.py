"""What the kill tests take for a repetition: pieces that are begun although their window was complete."""

from __future__ import annotations

from typing import Any

import pytest

from kill_harness import Heard
from repetitions import Repetitions

A, B, C, D = [(number, number * 1000, number * 1000 + 900) for number in range(4)]


class Past:
    """A server by what it has begun and completed."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, Heard]] = []
        self.windows: dict[Heard, frozenset[Heard]] = {}

    def begun(self) -> list[tuple[int, Heard]]:
        return list(self.lines)

    def complete(self, sources: object, urls: object) -> dict[Heard, frozenset[Heard]]:
        return dict(self.windows)

    def has_all(self, *pieces: Heard) -> None:
        self.windows |= dict.fromkeys(pieces, frozenset(pieces))


@pytest.fixture
def past() -> Past:
    return Past()


@pytest.fixture
def repetitions(past: Past) -> Repetitions:
    server: Any = past
    sources: Any = None
    return Repetitions(server, sources)


def test_work_of_which_nothing_was_there_is_none(past: Past, repetitions: Repetitions) -> None:
    past.lines = [(1, A), (1, B)]
    repetitions.note({})
    past.lines += [(2, A), (2, B)]  # the first one was killed
    past.has_all(A, B)
    repetitions.note({})
    repetitions.note({})
    assert repetitions.found == set()


def test_complete_window_that_is_begun_again_is_one(past: Past, repetitions: Repetitions) -> None:
    past.has_all(A, B)
    repetitions.note({})
    past.lines = [(2, A), (2, B)]
    repetitions.note({})
    assert repetitions.found == {A, B}


def test_window_that_somebody_is_in_the_middle_of_when_it_is_completed_is_none(
    past: Past, repetitions: Repetitions
) -> None:
    past.lines = [(2, A)]
    repetitions.note({})
    past.has_all(A, B, C)
    repetitions.note({})
    past.lines += [(3, D), (2, B), (2, C)]
    repetitions.note({})
    assert repetitions.found == set()
    past.lines += [(2, A), (2, B)]  # the same process again, from the beginning
    repetitions.note({})
    assert repetitions.found == {A, B}


@pytest.mark.parametrize("company", [{A, B}, {A}])
def test_window_behind_another_one_in_the_same_process_is_one(
    past: Past, repetitions: Repetitions, company: set[Heard]
) -> None:
    past.lines = [(2, A)]
    past.has_all(*company)
    past.has_all(C, D)
    repetitions.note({})
    past.lines += [(2, C), (2, D)]
    repetitions.note({})
    assert repetitions.found == {C, D}


def test_window_keeps_its_company_when_its_file_has_ended(past: Past, repetitions: Repetitions) -> None:
    past.lines = [(2, A)]
    past.has_all(A, B)
    repetitions.note({})
    past.has_all(A)
    past.has_all(B)
    repetitions.note({})
    past.lines += [(2, B)]
    repetitions.note({})
    assert repetitions.found == set()
