"""What a source without any text ends with: its own fault, or ours."""

import pytest

from dashscribe.errors.sources import DecodeError, NoSpeechError, RecognitionError
from dashscribe.ledger import UNDECODED
from dashscribe.pipeline.parts import refuse_empty
from dashscribe.types import Entry, Fate, Media, Track, Transcript

MEDIA = Media(url="a", container="wav", codec="pcm_s16le", rate_hz=16_000, channel_count=1, duration_ms=100)


@pytest.mark.parametrize(
    ("reasons", "kind"),
    [
        ([], NoSpeechError),
        ([UNDECODED], DecodeError),
        ([UNDECODED, UNDECODED], DecodeError),
        (["died"], RecognitionError),
        ([UNDECODED, "died"], RecognitionError),
    ],
)
def test_damage_of_the_source_is_its_own_fault(reasons: list[str], kind: type[Exception]) -> None:
    entries = [Entry(0, 10, Fate.NON_SPEECH), *(Entry(10 + n, 11 + n, Fate.FAILED, r) for n, r in enumerate(reasons))]
    track = Track(channel=0, sentences=(), ledger=tuple(entries))
    with pytest.raises(kind) as caught:
        refuse_empty(Transcript(media=MEDIA, tracks=(track,), model="fun-asr", engine="standin"))
    assert type(caught.value) is kind
