"""The kinds of columns that tables are made of: what they hold, and what they hold where a row says nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Enum, Integer, Text, false

#: SQLite numbers rows by itself only where the key's type is INTEGER.
ROW_ID = BigInteger().with_variant(Integer(), "sqlite")


def number(name: str, default: int = 0) -> Column[int]:
    """A count or another small number."""
    return Column(name, Integer, nullable=False, default=default)


def amount(name: str) -> Column[int]:
    """Bytes, milliseconds or an instant."""
    return Column(name, BigInteger, nullable=False, default=0)


def string(name: str) -> Column[str]:
    """A text, empty for none."""
    return Column(name, Text, nullable=False, default="")


def flag(name: str) -> Column[bool]:
    """What is true of a row, and is not at first."""
    return Column(name, Boolean, nullable=False, default=False)


def added_string(name: str) -> Column[str]:
    """A text that came with a later migration: older programs write rows without it."""
    return Column(name, Text, nullable=False, default="", server_default="")


def added_number(name: str) -> Column[int]:
    """A number that came with a later migration."""
    return Column(name, BigInteger, nullable=False, default=0, server_default="0")


def added_flag(name: str) -> Column[bool]:
    """A flag that came with a later migration."""
    return Column(name, Boolean, nullable=False, default=False, server_default=false())


def state(name: str, states: type[StrEnum]) -> Column[Any]:
    """A column of one of these words, kept as text, so that a new word needs no migration."""
    words = Enum(states, native_enum=False, length=16, values_callable=_values)
    return Column(name, words, nullable=False)


def _values(states: type[StrEnum]) -> list[str]:
    return [one.value for one in states]
