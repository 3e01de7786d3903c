"""Decoding of damaged and hostile files: what can be decoded stays in place, what is lost is named, nothing hangs."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dashscribe.decode import Decoder, probe
from dashscribe.errors.sources import DecodeError, NoAudioError, SourceError
from dashscribe.types import RATE_HZ, Span, total_ms
from media_files import (
    RECIPES,
    SECONDS,
    TONES,
    MediaMaker,
    decode,
    media,
    onsets,
    tone_bursts,
    wav_bytes,
    write_wav,
)

__all__ = ["media"]  # the fixture

LENGTH_S = 20.0
#: Where the long sound has its bursts, in seconds: before, and well after, the damage in its middle.
BURSTS_S = (1.0, 4.0, 16.0, 18.5)
#: name: (ffmpeg arguments, by how much the later bursts may be shifted in seconds: bare streams only have their bytes)
LONG = {
    "constant.mp3": (("-c:a", "mp3"), 0.1),
    "bare.mp3": (("-c:a", "mp3", "-write_xing", "0"), 0.1),
    "adts.aac": (("-c:a", "aac"), 0.5),
    "dolby.ac3": (("-c:a", "ac3"), 0.1),
    "edit.m4a": (("-c:a", "aac", "-movflags", "faststart"), 0.03),
    "frames.flac": (("-c:a", "flac"), 0.03),
    "flac.ogg": (("-c:a", "flac"), 0.03),
    "opus.opus": (("-c:a", "libopus"), 0.03),
    "vorbis.ogg": (("-c:a", "libvorbis", "-b:a", "128k"), 0.03),
    "opus.webm": (("-c:a", "libopus", "-cluster_time_limit", "500"), 0.03),
    "sound.flv": (("-c:a", "aac"), 0.03),
    "sound.avi": (("-c:a", "mp3"), 0.05),
    "sound.ts": (("-c:a", "aac"), 0.03),
    "sound.mpeg": (("-c:a", "mp2"), 0.05),
    "sound.wma": (("-c:a", "wmav2"), 0.06),
}


@pytest.fixture(scope="module")
def long_media(ffmpeg: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> MediaMaker:
    """Twenty seconds of noise, steady in bit rate, with loud bursts, in the named container."""
    folder = tmp_path_factory.mktemp("long")
    noise = np.random.default_rng(3).normal(0, 600, int(44_100 * LENGTH_S))
    at_s = np.arange(len(noise)) / 44_100
    for begin in BURSTS_S:
        burst = (at_s >= begin) & (at_s < begin + 0.3)
        noise[burst] += 12_000 * np.sin(2 * np.pi * 600 * at_s[burst])
    source = write_wav(folder / "source.wav", np.rint(noise).astype(np.int16)[None], 44_100)

    def make(name: str) -> Path:
        path = folder / name
        if not path.exists():
            ffmpeg("-i", source, *LONG[name][0], path)
        return path

    return make


def spoil(path: Path, target: Path, begin: float, end: float, filler: Callable[[int], bytes]) -> Path:
    """A copy in which a share of the bytes is replaced."""
    content = path.read_bytes()
    low, high = int(begin * len(content)), int(end * len(content))
    target.write_bytes(content[:low] + filler(high - low) + content[high:])
    return target


@pytest.mark.parametrize("filler", [bytes, random.Random(4).randbytes], ids=["zeros", "garbage"])
@pytest.mark.parametrize("name", LONG)
def test_hole_in_the_middle_is_named_and_keeps_the_clock(
    long_media: MediaMaker, tmp_path: Path, name: str, filler: Callable[[int], bytes]
) -> None:
    healthy, whole = decode(long_media(name))
    assert (healthy.lost, healthy.notes) == ([], [])
    decoder, samples = decode(spoil(long_media(name), tmp_path / name, 0.45, 0.55, filler))
    tolerance_s = LONG[name][1]
    assert onsets(samples[0]) == pytest.approx(onsets(whole[0]), abs=tolerance_s)
    assert decoder.end_ms == pytest.approx(healthy.end_ms, abs=1000 * tolerance_s)
    assert samples.shape[1] // 16 == decoder.end_ms == decoder.media.duration_ms
    # A tenth is gone; containers with large pages or clusters lose up to one more at either end.
    assert 1400 <= total_ms(decoder.lost) <= 5000
    assert all(7000 <= span.begin_ms < span.end_ms <= 13_500 for span in decoder.lost)
    assert len(decoder.notes) == 1
    assert f"{total_ms(decoder.lost)} ms of sound are missing" in decoder.notes[0]
    silence = samples[0, decoder.lost[0].begin_ms * 16 + 1600 : decoder.lost[0].end_ms * 16 - 1600]
    assert np.abs(silence).max() <= 1


@pytest.mark.parametrize("name", ["constant.mp3", "edit.m4a", "frames.flac", "sound.flv", "opus.webm"])
def test_truncated_file_gives_its_beginning_and_a_note(long_media: MediaMaker, tmp_path: Path, name: str) -> None:
    content = long_media(name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: len(content) // 2])
    decoder, samples = decode(path)
    whole = decode(long_media(name))[1]
    assert np.array_equal(samples[0, : 9 * RATE_HZ], whole[0, : 9 * RATE_HZ])
    assert decoder.end_ms == pytest.approx(10_000, abs=700)
    assert total_ms(decoder.lost) < 150
    assert any("announces 20.0 s" in note and "cut off" in note for note in decoder.notes)


@pytest.mark.parametrize(
    "name", ["bare.mp3", "adts.aac", "dolby.ac3", "vorbis.ogg", "opus.opus", "sound.ts", "sound.mpeg"]
)
def test_truncated_file_without_a_stated_length_gives_its_beginning(
    long_media: MediaMaker, tmp_path: Path, name: str
) -> None:
    content = long_media(name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: len(content) // 2])
    decoder, samples = decode(path)
    assert onsets(samples[0]) == pytest.approx(BURSTS_S[:2], abs=0.06)
    assert decoder.end_ms == pytest.approx(10_000, abs=1500)
    assert decoder.lost == []


def test_half_a_wav_file_is_noted(tmp_path: Path) -> None:
    content = write_wav(tmp_path / "whole.wav", tone_bursts(RATE_HZ)).read_bytes()
    (tmp_path / "half.wav").write_bytes(content[: len(content) // 2])
    decoder, samples = decode(tmp_path / "half.wav", (0, 1))
    assert samples.shape[1] == pytest.approx(32_000, abs=20)
    assert decoder.notes == ["The file announces 4.0 s, but its sound ends at 2.0 s: it may have been cut off."]


def test_wav_of_a_recorder_that_could_not_fill_in_the_length_is_healthy(tmp_path: Path) -> None:
    for claim in (0xFFFFFFFF, 0x7FFFFFFF - 36, 0x7FFFF000):
        (tmp_path / "live.wav").write_bytes(wav_bytes(tone_bursts(RATE_HZ)[0].tobytes(), data_bytes=claim))
        decoder, samples = decode(tmp_path / "live.wav")
        assert (samples.shape[1], decoder.notes, decoder.lost) == (64_000, [], [])


def test_file_cut_off_before_its_index_is_refused(media: MediaMaker, tmp_path: Path) -> None:
    content = media("edit.m4a").read_bytes()
    (tmp_path / "half.m4a").write_bytes(content[: len(content) // 2])
    with pytest.raises(DecodeError, match="cut off before its index"):
        probe(tmp_path / "half.m4a", "")


def test_container_whose_sound_is_all_garbage_is_refused(long_media: MediaMaker, tmp_path: Path) -> None:
    content = long_media("edit.m4a").read_bytes()
    begin = content.index(b"mdat") + 4
    (tmp_path / "void.m4a").write_bytes(content[:begin] + bytes(len(content) - begin))
    with pytest.raises(DecodeError, match=r"None of the \d+ packets of sound could be decoded"):
        probe(tmp_path / "void.m4a", "")


def test_lost_end_is_named(long_media: MediaMaker, tmp_path: Path) -> None:
    decoder, _ = decode(spoil(long_media("edit.m4a"), tmp_path / "end.m4a", 0.8, 1.0, random.Random(6).randbytes))
    assert decoder.end_ms == pytest.approx(20_000, abs=60)
    assert decoder.lost[-1].end_ms == pytest.approx(20_000, abs=60)
    assert total_ms(decoder.lost) == pytest.approx(4000, abs=400)


def test_lost_stretches_outside_the_requested_part_are_not_named(long_media: MediaMaker, tmp_path: Path) -> None:
    path = spoil(long_media("frames.flac"), tmp_path / "hole.flac", 0.45, 0.55, bytes)
    whole, samples = decode(path)
    hole = whole.lost[0]
    for span in (Span(0, hole.begin_ms), Span(hole.begin_ms + 500, hole.begin_ms + 700), Span(hole.end_ms, 20_000)):
        decoder, part = decode(path, stretch=span)
        inside = [span] if hole.begin_ms <= span.begin_ms < hole.end_ms else []
        assert decoder.lost == inside
        assert np.array_equal(part, samples[:, span.begin_ms * 16 : span.end_ms * 16])


# --- time stamps ------------------------------------------------------------------------------------------------------


@pytest.fixture
def restamped(ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path) -> Callable[[str], Path]:
    """The known sound in Matroska, its time stamps (milliseconds, per packet of 1152 samples) changed by a formula."""
    packets = tmp_path / "packets.mka"
    ffmpeg("-i", media("pcm.wav"), "-c:a", "flac", "-frame_size", "1152", packets)

    def make(formula: str) -> Path:
        path = tmp_path / "restamped.mka"
        ffmpeg("-i", packets, "-c", "copy", "-bsf:a", f"setts=ts={formula}", path)
        return path

    return make


def test_jump_of_time_stamps_is_a_hole(restamped: Callable[[str], Path]) -> None:
    decoder, samples = decode(restamped("if(gte(N\\,100)\\,PTS+700\\,PTS)"), (0, 1))
    assert [round(span.duration_ms, -1) for span in decoder.lost] == [700]
    assert decoder.lost[0].begin_ms == pytest.approx(100 * 1152 / 44.1, abs=2)
    assert onsets(samples[0]) == pytest.approx([0.5, 3.7], abs=0.005)


@pytest.mark.parametrize(
    "formula",
    [
        "PTS+mod(N\\,3)*30",  # jitter
        "PTS+mod(N*7\\,5)*20-40",
        "floor(PTS/200)*200",  # several packets with one stamp, then a step of 200 ms
        "PTS*1.0015",  # drift
        "PTS*0.99",
        "if(gte(N\\,100)\\,PTS+90\\,PTS)",  # a step that is no more than a page boundary can give
        "PTS+60000",  # a recording that was started in the middle
    ],
)
def test_healthy_unrest_of_time_stamps_loses_nothing(restamped: Callable[[str], Path], formula: str) -> None:
    decoder, samples = decode(restamped(formula), (0, 1))
    assert (decoder.lost, decoder.notes) == ([], [])
    assert decoder.end_ms == 4000
    assert onsets(samples[0]) == pytest.approx(TONES[0][1], abs=0.002)


def test_leap_of_time_stamps_beyond_the_end_is_not_followed(
    ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path
) -> None:
    path = tmp_path / "leap.m4a"
    ffmpeg("-i", media("pcm.wav"), "-c:a", "flac", "-strict", "-2", "-f", "mp4", "-movflags", "frag_every_frame", path)
    content = bytearray(path.read_bytes())
    at = content.index(b"tfdt", len(content) // 2)
    content[at + 8 : at + 16] = (2**40).to_bytes(8, "big")
    path.write_bytes(content)
    decoder, _ = decode(path)
    assert decoder.end_ms == pytest.approx(4000, abs=200)


def test_channel_that_vanishes_midway_is_lost_there(
    ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path
) -> None:
    ffmpeg("-i", media("pcm.wav"), "-ac", "1", "-c:a", "aac", tmp_path / "mono.aac")
    joined = tmp_path / "joined.aac"
    joined.write_bytes(media("adts.aac").read_bytes() + (tmp_path / "mono.aac").read_bytes())
    decoder, samples = decode(joined, (1,))
    assert onsets(samples[0]) == pytest.approx(TONES[1][1], abs=0.03)
    assert decoder.lost == [Span(decoder.lost[0].begin_ms, decoder.end_ms)]
    assert decoder.lost[0].begin_ms == pytest.approx(1000 * SECONDS, abs=60)
    assert "Part of the file has fewer channels; silence stands for those that are absent there." in decoder.notes
    assert decode(joined, (0,))[0].lost == []


# --- hostile files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"rate_hz": 1}, "sample rate of 1 Hz; 2000 to 768000 Hz"),
        ({"rate_hz": 10_000_000}, "sample rate of 10000000 Hz"),
        ({"channels": 65}, "65 channels; 1 to 64"),
        ({"channels": 0}, ""),
        ({"rate_hz": 0}, ""),
        ({"bits": 0}, ""),
        ({"channels": 65_535, "bits": 8}, ""),
        ({"rate_hz": 0xFFFFFFFF}, ""),
    ],
)
def test_header_with_figures_that_no_recording_has_is_refused(
    tmp_path: Path, claims: dict[str, int], message: str
) -> None:
    path = tmp_path / "hostile.wav"
    path.write_bytes(wav_bytes(bytes(100_000), **claims))
    with pytest.raises((DecodeError, NoAudioError), match=message or None):
        list(Decoder(path, url="", channels=(0,), stretch=None))


@pytest.mark.parametrize(
    "name",
    [
        "xing.mp3",
        "edit.m4a",
        "frames.flac",
        "video.avi",
        "video.flv",
        "vorbis.ogg",
        "opus.webm",
        "video.ts",
        "video.mpeg",
        "sound.wma",
        "adts.aac",
        "pcm.wav",
        "pcm.caf",
    ],
)
def test_random_damage_ends_in_sound_or_a_source_error(media: MediaMaker, tmp_path: Path, name: str) -> None:
    healthy = media(name).read_bytes()
    path = tmp_path / name
    for seed in range(8):
        dice = random.Random(seed)
        content = bytearray(healthy)
        for _ in range(dice.choice((1, 10, 200))):
            # Headers are where claims are made: half of the damage goes there.
            at = dice.randrange(min(600, len(content)) if dice.random() < 0.5 else len(content))
            content[at] = dice.randrange(256)
        path.write_bytes(content[: dice.randrange(len(content))] if seed % 4 == 3 else content)
        try:
            decoder = Decoder(path, url="", channels=(0,), stretch=None)
            length = 0
            for block in decoder:
                length += block.shape[1]
                if length > 60 * RATE_HZ:  # a header that now claims a lower rate
                    break
            else:
                assert decoder.end_ms == length // 16
                assert all(0 <= span.begin_ms < span.end_ms <= decoder.end_ms for span in decoder.lost)
        except SourceError as error:
            assert error.detail


def test_recipes_cover_every_documented_container() -> None:
    documented = "aac avi flac flv m4a mkv mov mp3 mp4 mpeg ogg opus wav webm wma wmv aiff 3gp"
    assert set(documented.split(" ")) <= {name.partition(".")[2] for name in RECIPES}  # amr has a test of its own
