"""Signs that a model that writes ran away: a phrase over and over, or more text than can be said in the time."""

from __future__ import annotations

import re

#: Most characters a second that count as said, of scripts whose characters are syllables and of letters. The quickest
#: speakers say some 8 syllables or 25 letters.
SYLLABLES_PER_S, LETTERS_PER_S = 14, 45
#: Text this long is never too long, in characters: very short sounds carry a word, too.
ALLOWANCE = 12
#: A phrase said this often in a row, with this many characters in all, is a loop. People do repeat themselves.
LOOP_TIMES, LOOP_CHARS = 6, 24
_LOOP = re.compile(rf"(.{{1,60}}?)\1{{{LOOP_TIMES - 1},}}", re.DOTALL)


def runaway(text: str, duration_ms: int) -> str:
    """Why a text cannot be what was said in that time, with what was measured; empty if it can."""
    for match in _LOOP.finditer(text):
        if len(match[0]) >= LOOP_CHARS and match[1].strip():
            times = len(match[0]) // len(match[1])
            return f"the model repeats itself: {match[1].strip()[:30]!r} {times} times"
    letters = sum(character.isalnum() for character in text)
    syllables = sum(character.isalnum() and character >= "\u2e80" for character in text)
    needed_s = syllables / SYLLABLES_PER_S + (letters - syllables) / LETTERS_PER_S
    if letters > ALLOWANCE and needed_s > duration_ms / 1000:
        return f"{letters} characters cannot be said in {duration_ms} ms"
    return ""
