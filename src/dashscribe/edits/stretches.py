"""The difference of two long texts, found stretch by stretch: in bounded memory, and in time that grows with length.

What rapidfuzz finds is the best there is, at the price of the product of both lengths, and while it looks nothing else
runs in the process. So long texts are parted where a row of words stands that both have once, and what is too long even
so is gone through window by window. Texts up to ``MOST_PAIRS`` are compared as a whole; of longer ones, the difference
may be some words larger than the least one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from rapidfuzz.distance import Opcode

#: Most pairs of words that are looked at in one go, about an hour of speech against another.
MOST_PAIRS = 100_000_000
#: How many words in a row are hardly found twice by chance.
ROW = 6

#: Finds the best difference of two lists of numbers: a function of ``rapidfuzz.distance``.
Compare = Callable[[Sequence[int], Sequence[int]], Iterable[Opcode]]


def opcodes(left: Sequence[int], right: Sequence[int], compare: Compare) -> list[Opcode]:
    """What makes ``right`` of ``left``, in order and without gaps; neighbors are of different kinds."""
    found: list[Opcode] = []
    for begin, end in pairwise(_cuts(left, right)):
        for step in _windows(left[begin[0] : end[0]], right[begin[1] : end[1]], compare):
            moved = _moved(step, begin)
            if found and found[-1].tag == moved.tag:
                last = found.pop()
                moved = Opcode(moved.tag, last.src_start, moved.src_end, last.dest_start, moved.dest_end)
            found.append(moved)
    return found


def _moved(step: Opcode, by: tuple[int, int]) -> Opcode:
    return Opcode(
        step.tag, step.src_start + by[0], step.src_end + by[0], step.dest_start + by[1], step.dest_end + by[1]
    )


def _cuts(left: Sequence[int], right: Sequence[int]) -> list[tuple[int, int]]:
    """Places in both that belong together, the ends among them: as few as keep what lies between below the limit."""
    cuts, candidate, end = [(0, 0)], (0, 0), (len(left), len(right))
    if len(left) * len(right) > MOST_PAIRS:
        for place in (*_anchors(left, right), end):
            begin = cuts[-1]
            if (place[0] - begin[0]) * (place[1] - begin[1]) > MOST_PAIRS and candidate != begin:
                cuts.append(candidate)
            candidate = place
    return [*cuts, end]


def _anchors(left: Sequence[int], right: Sequence[int]) -> list[tuple[int, int]]:
    """Where the same row of words stands that each side has once: the most that are in order on both sides."""
    mine, others = _once(left), _once(right)
    pairs = [(at, others[row]) for row, at in mine.items() if row in others]
    # The longest rising sequence of the right places: for each length, where the one stands that ends lowest.
    lowest: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        length = bisect_left(lowest, place)
        before.append(ends[length - 1] if length else -1)
        lowest[length : length + 1] = [place]
        ends[length : length + 1] = [number]
    chosen: list[tuple[int, int]] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        chosen.append(pairs[at])
        at = before[at]
    return chosen[::-1]


def _once(words: Sequence[int]) -> dict[tuple[int, ...], int]:
    """Where each row of words begins that does not come again, in order."""
    places: dict[tuple[int, ...], int] = {}
    for at, row in enumerate(zip(*(words[n:] for n in range(ROW)), strict=False)):
        places[row] = -1 if row in places else at
    return {row: at for row, at in places.items() if at >= 0}


def _windows(left: Sequence[int], right: Sequence[int], compare: Compare) -> Iterator[Opcode]:
    """The difference of what may be too long to be compared in one go and has no place to part it.

    Of every window counts what lies before the end of the longest run that both have in its second half: what stands
    at the edge was made to fit it.
    """
    at = (0, 0)
    side = int(MOST_PAIRS**0.5)
    while at != (len(left), len(right)):
        mine, others = left[at[0] :], right[at[1] :]
        is_last = len(mine) * len(others) <= MOST_PAIRS
        if not is_last:
            mine, others = mine[: max(side, MOST_PAIRS // len(others))], others[: max(side, MOST_PAIRS // len(mine))]
        found = list(compare(mine, others))
        counts = found if is_last else _sure(found)
        yield from (_moved(step, at) for step in counts)
        at = (at[0] + counts[-1].src_end, at[1] + counts[-1].dest_end)


def _sure(found: Sequence[Opcode]) -> Sequence[Opcode]:
    middle = (found[-1].src_end + found[-1].dest_end) / 2
    runs = [
        (step.src_end - step.src_start, count)
        for count, step in enumerate(found, start=1)
        if step.tag == "equal" and step.src_end + step.dest_end > middle
    ]
    return found[: max(runs)[1]] if runs else found
