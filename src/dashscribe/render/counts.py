"""What a call is said to have used: seconds and tokens, by the rules of the service's examples (api-sync section 5).

Nothing is billed here; clients show and add up these numbers. Tokens of a text are counted by a rule of our own, since
the service's own two interfaces count the same sentence differently.
"""

from __future__ import annotations

import re

AUDIO_TOKENS_PER_S = 25
#: About as many Latin letters or digits as one piece of a word has in the vocabularies of speech models.
LETTERS_PER_TOKEN = 6

#: A run of letters and digits of writing with spaces between words, or any other single mark or character.
_PIECE = re.compile(r"[A-Za-z0-9\u00c0-\u1fff]+|\S")


def audio_tokens(duration_ms: int) -> int:
    """25 for each second, the last one in part; less than a second counts as one."""
    return max(AUDIO_TOKENS_PER_S, -(-AUDIO_TOKENS_PER_S * duration_ms // 1000))


def seconds_down(duration_ms: int) -> int:
    """Whole seconds, rounded down, at least one: what the Qwen3 models report."""
    return max(1, duration_ms // 1000)


def seconds_up(duration_ms: int) -> int:
    """Whole seconds, rounded up: what the Fun-ASR models report."""
    return -(-duration_ms // 1000)


def text_tokens(text: str) -> int:
    """One for each character of Chinese, each mark and each piece of a word, and one for the end; 0 for no text."""
    pieces = sum(-(-len(piece) // LETTERS_PER_TOKEN) for piece in _PIECE.findall(text))
    return pieces + 1 if pieces else 0
