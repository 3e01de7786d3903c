"""Damages real containers on purpose, by seed: what a fuzzer of decoders feeds, the same bytes for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

#: Figures at which arithmetic on sizes, rates and counts goes wrong.
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFE, 0xFFFF_FFFF)
#: Names of boxes and chunks: what stands before them (MP4) or behind them (RIFF, AIFF, CAF) is a length.
FOURCC = re.compile(rb"[A-Za-z][A-Za-z0-9 ]{3}")
#: Headers are where claims are made: half of all damage is done in so many bytes.
HEAD_BYTES = 600
#: No damaged file is larger: what is long is in ``bombs``.
MOST_BYTES = 4 * 1024**2

Dice = random.Random
Mutation = Callable[[Dice, bytearray, bytes], bytearray]


def somewhere(dice: Dice, data: bytearray) -> int:
    """A place in the data, in its head as often as not."""
    return dice.randrange(max(1, min(HEAD_BYTES, len(data)) if dice.random() < 0.5 else len(data)))


def piece(dice: Dice, data: bytes | bytearray) -> bytes:
    """A part of the data, of any length up to 64 KiB."""
    begin = dice.randrange(max(1, len(data)))
    return bytes(data[begin : begin + int(2 ** dice.uniform(0, 16))])


def flip_bits(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    for _ in range(dice.choice((1, 4, 40, 400))):
        at = somewhere(dice, data)
        data[at : at + 1] = bytes([(data[at] if at < len(data) else 0) ^ 1 << dice.randrange(8)])
    return data


def garbage(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    at = somewhere(dice, data)
    new = dice.randbytes(int(2 ** dice.uniform(0, 12)))
    data[at : at + len(new)] = new
    return data


def zeros(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    at = somewhere(dice, data)
    length = int(2 ** dice.uniform(0, 14))
    data[at : at + length] = bytes(length)
    return data


def truncate(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    return data[: somewhere(dice, data)]


def cut_out(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    at = somewhere(dice, data)
    del data[at : at + int(2 ** dice.uniform(0, 14))]
    return data


def repeat_block(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    block = piece(dice, data)
    at = somewhere(dice, data)
    data[at:at] = block * min(dice.choice((1, 2, 30, 1000)), MOST_BYTES // max(1, len(block)))
    return data


def swap_blocks(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    length = int(2 ** dice.uniform(2, 12))
    first, second = sorted((somewhere(dice, data), somewhere(dice, data)))
    one, two = bytes(data[first : first + length]), bytes(data[second : second + length])
    data[second : second + length] = one
    data[first : first + length] = two
    return data


def extreme_number(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    for _ in range(dice.choice((1, 3))):
        width, at = dice.choice((1, 2, 4, 8)), somewhere(dice, data)
        value = dice.choice(EXTREMES) & (1 << 8 * width) - 1
        data[at : at + width] = value.to_bytes(width, dice.choice(("little", "big")))
    return data


def lie_about_length(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    names = [match.start() for match in FOURCC.finditer(data)]
    if not names:
        return extreme_number(dice, data, other)
    at = dice.choice(names) + dice.choice((-4, 4))
    value = dice.choice((*EXTREMES, len(data), len(data) * 2, 8, 9))
    data[max(0, at) : max(0, at) + 4] = (value & 0xFFFF_FFFF).to_bytes(4, dice.choice(("little", "big")))
    return data


def rename_chunk(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    names = sorted({match.group() for match in FOURCC.finditer(data)})
    places = [match.start() for match in FOURCC.finditer(data)]
    if places:
        at = dice.choice(places)
        data[at : at + 4] = dice.choice(names)
    return data


def splice(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    """The head of one container with the body of another."""
    return data[: somewhere(dice, data)] + other[somewhere(dice, bytearray(other)) :]


def append(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    return data + other


def insert(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    at = somewhere(dice, data)
    data[at:at] = piece(dice, other)
    return data


def nest(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    """Boxes in boxes, or lists in lists, thousands deep, around what was there or in front of it."""
    depth = dice.choice((10, 1000, 20_000))
    if data[:4] == b"RIFF":
        return (
            data[:12]
            + b"".join(b"LIST" + EXTREMES[-3].to_bytes(4, "little") + b"hdrl" for _ in range(depth))
            + data[12:]
        )
    name = dice.choice((b"moov", b"trak", b"mdia", b"udta", b"meta"))
    boxes = b"".join((len(data) + 8 * (depth - i)).to_bytes(4, "big") + name for i in range(depth))
    return bytearray(boxes) + data


def many_streams(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    """What introduces a stream, hundreds of times: a box or chunk by its name, and what follows."""
    for name in (b"trak", b"strl", b"strh", b"\xae", b"OpusHead", b"\x01vorbis", b"fmt ", b"\x47\x40"):
        if (at := data.find(name)) > 4:
            block = bytes(data[at - 4 : at + dice.choice((60, 300, 600))])
            data[at - 4 : at - 4] = block * dice.choice((3, 200, 4000))
            return data[:MOST_BYTES]
    return repeat_block(dice, data, other)


def keep_only_head(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    return data[: dice.choice((0, 1, 4, 8, 12, 16, 44, 100, 512))]


def shuffle(dice: Dice, data: bytearray, other: bytes) -> bytearray:
    """All blocks are there, in another order."""
    length = dice.choice((188, 512, 4096))
    blocks = [bytes(data[at : at + length]) for at in range(0, len(data), length)]
    first = blocks[:1] if dice.random() < 0.7 else []
    rest = blocks[len(first) :]
    dice.shuffle(rest)
    return bytearray(b"".join([*first, *rest]))


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    garbage,
    zeros,
    truncate,
    cut_out,
    repeat_block,
    swap_blocks,
    extreme_number,
    extreme_number,
    lie_about_length,
    lie_about_length,
    rename_chunk,
    splice,
    append,
    insert,
    nest,
    many_streams,
    keep_only_head,
    shuffle,
)


def mutants(healthy: dict[str, bytes], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many damaged files with a name that says what was done; ``healthy`` are whole files by name."""
    names = sorted(healthy)
    for number in range(count):
        dice = random.Random(f"{seed}-{number}")
        name = names[number % len(names)]
        data, other = bytearray(healthy[name]), healthy[dice.choice(names)]
        done: list[str] = []
        for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
            mutate = dice.choice(MUTATIONS)
            data = mutate(dice, data, other) if data else data
            done.append(mutate.__name__)
        stem, _, extension = name.rpartition(".")
        yield f"{number:05}-{stem}-{'+'.join(done)}.{extension}", bytes(data[:MOST_BYTES])
