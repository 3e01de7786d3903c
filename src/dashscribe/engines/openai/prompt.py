"""What a model is told before it listens: the hotwords that are favored, then the context, in a prompt of its size."""

from __future__ import annotations

from dataclasses import dataclass

from dashscribe.types import Options


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, and a note on what of the caller's hotwords and context did not get into it; empty for nothing."""

    text: str
    note: str


def prompt_of(options: Options, limit: int) -> Prompt:
    """The prompt in at most ``limit`` characters: whole hotwords, the most important first, then words of the context.

    Words that are disfavored (negative weight) have no place in it.
    """
    favored = [word.text.strip() for word in sorted(options.hotwords, key=lambda w: -w.weight) if word.weight > 0]
    listed = _fitting(favored, ", ", limit)
    context = _fitting(options.context.split(" "), " ", limit - len(listed) - 1).strip()
    given = len(", ".join(favored)) + len(options.context)
    kept = len(listed) + len(context)
    notes: list[str] = []
    if kept < len(", ".join(favored)) + len(options.context.strip()):
        notes.append(f"{kept} of {given} characters of hotwords and context were sent: the prompt holds {limit}")
    if disfavored := sum(word.weight <= 0 for word in options.hotwords):
        notes.append(f"{disfavored} hotwords with negative weights had no effect: a prompt can only favor")
    return Prompt("\n".join(filter(None, (listed, context))), "; ".join(notes))


def _fitting(parts: list[str], joint: str, limit: int) -> str:
    """As many parts as fit, in order."""
    text = ""
    for part in parts:
        longer = f"{text}{joint}{part}" if text else part
        if len(longer) > limit:
            break
        text = longer
    return text
