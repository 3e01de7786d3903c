"""Who speaks: diarization error and number of speakers, without models and with the small ones of the tests.

    python benchmarks/speakers.py

Dialogues are synthesized (flite and eSpeak NG), so that their turns are known to the sample; those of the recordings
beside the checkout are told by an RTTM file where there is one. DER is missed, false and confused speech over all
speech, with overlaps, by the best mapping of speakers; 250 ms around each true border are left out, as usual, in the
first figure and counted in the second. The engine is a stand-in: words are of no matter here.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from common import CHECKOUT, machine, table

sys.path.insert(0, str(CHECKOUT / "tests"))
import dashscribe
from conversations import FLITE, dialogue, diarization_error, missing
from dashscribe.config import Settings
from dashscribe.types import Turn
from dashscribe.weights.adding import add
from media_files import write_wav

#: Variants of eSpeak NG that differ clearly; some of them and flite's awb were kept from the small models' training.
ESPEAK = ("en-us+m3", "en-us+f2", "en-us+m7", "en-us+f4", "en-us+m1", "en-us+f5", "en-us+klatt2")
SMALL = ("speaker-embedding-small", "segmentation-small")
MODELS = {"pitch and spectrum": (), "small embedding": SMALL[:1], "small embedding and segmentation": SMALL}


@dataclass(frozen=True)
class Recording:
    """A sound and, where somebody knows them, its turns."""

    name: str
    path: Path
    speakers: int
    turns: tuple[Turn, ...]


def dialogues(folder: Path, seed: int) -> Iterator[Recording]:
    """Dialogues of 2 to 6 voices, each with and without overlaps."""
    chance = random.Random(seed)
    for count in range(2, 7):
        voices = chance.sample([*FLITE, *ESPEAK], count)
        for overlap in (0.0, 0.25):
            talk = dialogue(voices, chance.randrange(1000), turns=max(10, 5 * count), overlap=overlap)
            name = f"{count} voices{', overlaps' if overlap else ''}"
            yield Recording(name, write_wav(folder / f"{name}.wav", talk.samples[None]), count, talk.turns)


def recordings() -> Iterator[Recording]:
    """Conversations of people beside the checkout."""
    folder = Path(os.environ.get("AUDIO_DIR") or CHECKOUT.parent / "shared" / "audio")
    for name, speakers in (("en_meeting_ami_tst00.wav", 0), ("en_phone_8k_chromecast.wav", 2)):
        path = folder / name
        if path.is_file():
            turns = rttm(path.with_suffix(".rttm"))
            yield Recording(name, path, speakers or len({turn.speaker for turn in turns}), turns)


def rttm(path: Path) -> tuple[Turn, ...]:
    """The turns of an RTTM file (NIST RT-09, appendix A); none where there is no such file."""
    if not path.is_file():
        return ()
    names: dict[str, int] = {}
    turns: list[Turn] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields and fields[0] == "SPEAKER":
            begin_ms, length_ms = (round(1000 * float(field)) for field in fields[3:5])
            turns.append(Turn(begin_ms, begin_ms + length_ms, names.setdefault(fields[7], len(names))))
    return tuple(sorted(turns, key=lambda turn: turn.begin_ms))


def figures(recording: Recording, settings: Settings) -> Iterator[object]:
    """DER with either collar and the speakers that were found, with their number given and without."""
    for count in (max(2, recording.speakers), None):
        transcript = dashscribe.transcribe(
            recording.path, channels=(0,), diarize=True, speaker_count=count, settings=settings
        )
        (track,) = transcript.tracks
        for collar_ms in (250, 0):
            error = diarization_error(recording.turns, track.turns, collar_ms=collar_ms) if recording.turns else None
            yield "-" if error is None else f"{error:.1%}"
        if count is None:
            yield f"{len(track.speaking_ms)} of {recording.speakers}"


def cost(recording: Recording, settings: Settings) -> float:
    """Wall time with speakers told over that without, the faster of three each, on one slot."""
    best = {True: float("inf"), False: float("inf")}
    for _ in range(3):
        for diarize in best:
            began_s = time.perf_counter()
            dashscribe.transcribe(recording.path, channels=(0,), diarize=diarize, settings=settings)
            best[diarize] = min(best[diarize], time.perf_counter() - began_s)
    return best[True] / best[False]


def main() -> None:
    """Print a table for each way of telling voices apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7, help="which voices, and what they say")
    parser.add_argument("--cost", action="store_true", help="also the share of wall time beside the embedded engine")
    arguments = parser.parse_args()
    if missing():
        parser.error(f"{missing()} is not installed (Debian: apt-get install {missing()})")
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said = [*dialogues(folder, arguments.seed), *recordings()]
        for title, models in MODELS.items():
            home = folder / title
            for model in models:
                add(CHECKOUT / "tests" / "models" / model, home / "models", link=True)
            settings = Settings(home=home, models_dir=home / "models", engine="standin", workers=1)
            rows = [(recording.name, *figures(recording, settings)) for recording in said]
            print(f"\n{title}, seed {arguments.seed}")
            print(table(("recording", "DER given", "no collar", "DER guessed", "no collar", "speakers"), rows))
            if arguments.cost:
                share = cost(said[0], settings.model_copy(update={"engine": "pocketsphinx"}))
                print(f"wall time with speakers / without, {said[0].name}, embedded engine: {share:.2f}")


if __name__ == "__main__":
    main()
