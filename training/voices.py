"""Who speaks: the voices of training, and those kept from it until the test.

The list is fixed before anything is trained. Variants that whisper, croak or imitate robots are left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from speech import MANDARIN, Timed, flite, speak

UNSEEN_VARIANTS = ("m5", "f4")

PLAIN_VARIANTS = ("", "m1", "m2", "m3", "m4", "m6", "m7", "m8", "f1", "f2", "f3", "f5", "klatt", "klatt2", "klatt4")
NAMED_VARIANTS = (
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen Storm adam "
    "anika announcer antonio aunty belinda benjamin boris caleb david ed edward grandma grandpa gustave iven john "
    "kaukovalta linda marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph travis "
    "victor zac"
)
ENGLISH_ACCENTS = {
    "en-us": 0.42,
    "en-gb": 0.26,
    "en-gb-x-rp": 0.08,
    "en-gb-scotland": 0.06,
    "en-us-nyc": 0.08,
    "en-gb-x-gbclan": 0.04,
    "en-gb-x-gbcwmd": 0.03,
    "en-029": 0.03,
}
FLITE_VOICES = ("slt", "rms", "awb", "kal16")
FLITE_SHARE = 0.1  # of English: its four voices are further from eSpeak NG's than those from each other


def accent(language: str, chance: np.random.Generator) -> str:
    """Draw eSpeak NG's voice for a language, without a variant."""
    if language == "zh":
        return MANDARIN
    return str(chance.choice(list(ENGLISH_ACCENTS), p=list(ENGLISH_ACCENTS.values())))


def seen_voice(language: str, chance: np.random.Generator) -> str:
    """Draw a voice of training: half of the time the plain variants, which tests will use, else the named ones."""
    variant = str(chance.choice(PLAIN_VARIANTS if chance.random() < 0.5 else NAMED_VARIANTS.split()))
    base = accent(language, chance)
    return f"{base}+{variant}" if variant else base


def unseen_voice(language: str, chance: np.random.Generator) -> str:
    """Draw a voice that training never hears."""
    return f"{accent(language, chance)}+{chance.choice(UNSEEN_VARIANTS)}"


def seen_speaker(language: str, chance: np.random.Generator) -> str:
    """Draw a voice of training, Flite's included; those carry the prefix "flite:"."""
    if language == "en" and chance.random() < FLITE_SHARE:
        return "flite:" + str(chance.choice(FLITE_VOICES))
    return seen_voice(language, chance)


def say(text: str, speaker: str, chance: np.random.Generator) -> tuple[NDArray[np.int16], list[Timed]]:
    """Speak in a plain manner at a random speed and pitch; arguments and result as in `speech`."""
    if speaker.startswith("flite:"):
        pitch_hz = 0 if chance.random() < 0.5 else int(chance.integers(90, 200))
        return flite(text, speaker.removeprefix("flite:"), float(chance.uniform(0.85, 1.35)), pitch_hz)
    settings = (int(chance.integers(120, 211)), int(chance.integers(20, 81)), int(chance.integers(30, 71)))
    return speak(text, speaker, *settings)
