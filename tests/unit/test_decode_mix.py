"""All channels in one track: the mean of what there is, nothing lost, nothing clipped, whatever the file is like."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dashscribe.types import RATE_HZ, Span
from media_files import (
    SECONDS,
    TONES,
    MediaMaker,
    decode,
    media,
    onsets,
    pitch_hz,
    tone_bursts,
    wav_bytes,
    write_wav,
)

__all__ = ["media"]  # the fixture


def test_both_tracks_of_a_real_stereo_recording_are_in_the_mix(audio_dir: Path) -> None:
    for name in ("en_stereo_two_channel.wav", "en_sonnet1.mp3"):
        _, apart = decode(audio_dir / name, (0, 1))
        decoder, mixed = decode(audio_dir / name, (1,), mix=True)
        assert decoder.channels == (0,)
        assert decoder.media.channel_count == 2
        assert mixed.shape == (1, apart.shape[1])
        assert np.abs(mixed[0] - apart.mean(axis=0)).max() <= 1  # what rounding each track first may cost


def test_a_mono_file_mixes_to_its_own_samples(
    audio_dir: Path, ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path
) -> None:
    for codec in (("mono.m4a", "aac"), ("mono.opus", "libopus"), ("mono.wav", "pcm_u8"), ("mono.flac", "flac")):
        ffmpeg("-i", media("pcm.wav"), "-ac", "1", "-ar", "48000", "-c:a", codec[1], tmp_path / codec[0])
    for path in (*sorted(tmp_path.glob("mono.*")), audio_dir / "en_jfk.wav"):
        assert np.array_equal(decode(path, mix=True)[1], decode(path)[1]), path.name


@pytest.mark.parametrize("count", [2, 3, 6, 12, 64])
def test_one_track_in_many_channels_mixes_to_that_track(tmp_path: Path, count: int) -> None:
    sound = np.random.default_rng(3).integers(-32768, 32768, (1, 22_050)).astype(np.int16)
    alone = decode(write_wav(tmp_path / "alone.wav", sound, 22_050))[1]
    many = decode(write_wav(tmp_path / "many.wav", np.repeat(sound, count, axis=0), 22_050), mix=True)[1]
    assert np.array_equal(many, alone)


def test_full_scale_in_all_channels_does_not_wrap(tmp_path: Path) -> None:
    loud = np.array([[32767, -32768, 32767, -32768]] * 3, np.int16)
    assert decode(write_wav(tmp_path / "loud.wav", loud), mix=True)[1][0].tolist() == loud[0].tolist()


def test_garbage_in_one_channel_leaves_the_others(tmp_path: Path) -> None:
    left = np.array([np.nan, np.inf, -np.inf, 3e38, 0.5])
    sound = np.stack([left, np.full(5, 0.25)]).T
    path = tmp_path / "garbage.wav"
    path.write_bytes(wav_bytes(sound.astype("<f4").tobytes(), tag=3, channels=2, bits=32))
    assert decode(path, mix=True)[1][0].tolist() == [4096, 32767, -32768, 32767, 12288]


def test_channels_beyond_eight_are_mixed_from_planar_frames(ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    at_s = np.arange(48_000) / 48_000
    sound = np.zeros((12, 48_000))
    sound[11] = np.rint(30_000 * np.sin(2 * np.pi * 1000 * at_s))
    (tmp_path / "twelve.raw").write_bytes(sound.T.astype("<i2").tobytes())
    source = ("-f", "s16le", "-ar", "48000", "-ac", "12", "-i", tmp_path / "twelve.raw")
    ffmpeg(*source, "-c:a", "libopus", "-mapping_family", "255", tmp_path / "twelve.opus")
    (samples,) = decode(tmp_path / "twelve.opus", mix=True)[1]
    assert pitch_hz(samples[4000:12_000]) == pytest.approx(1000, abs=10)
    assert np.abs(samples[4000:12_000]).max() == pytest.approx(30_000 / 12, rel=0.2)


def test_part_of_a_file_with_fewer_channels_is_mixed_from_those_and_not_lost(
    ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path
) -> None:
    ffmpeg("-i", media("pcm.wav"), "-ac", "1", "-c:a", "aac", tmp_path / "mono.aac")
    joined = tmp_path / "joined.aac"
    joined.write_bytes(media("adts.aac").read_bytes() + (tmp_path / "mono.aac").read_bytes())
    decoder, samples = decode(joined, mix=True)
    assert (decoder.lost, decoder.notes) == ([], [])
    begins = sorted(begin for _, begins in TONES for begin in begins)
    expected = [*begins, *(SECONDS + begin for begin in begins)]
    assert onsets(2 * samples[0]) == pytest.approx(expected, abs=0.09)


def test_lost_stretches_are_those_of_the_tracks(media: MediaMaker, tmp_path: Path) -> None:
    content = bytearray(media("frames.flac").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path = tmp_path / "hole.flac"
    path.write_bytes(content)
    apart, tracks = decode(path, (0, 1))
    mixed, mix = decode(path, mix=True)
    assert mixed.lost == apart.lost != []
    assert mixed.notes == apart.notes
    assert np.abs(mix[0] - tracks.mean(axis=0)).max() <= 1


@pytest.mark.parametrize("name", ["pcm.wav", "xing.mp3", "edit.m4a", "opus.opus"])
def test_a_stretch_gives_the_samples_of_the_whole_mix(media: MediaMaker, name: str) -> None:
    _, whole = decode(media(name), mix=True)
    for span in (Span(0, 1000), Span(1017, 3591), Span(3000, 9000)):
        decoder, part = decode(media(name), (0, 1), span, mix=True)
        assert np.array_equal(part, whole[:, span.begin_ms * 16 : span.end_ms * 16])
        assert (decoder.begin_ms, decoder.end_ms) == (span.begin_ms, span.begin_ms + part.shape[1] // 16)


def test_opposite_tracks_cancel_and_equal_ones_keep_their_level(tmp_path: Path) -> None:
    (left, _) = tone_bursts(RATE_HZ)
    assert not decode(write_wav(tmp_path / "opposite.wav", np.stack([left, -left])), mix=True)[1].any()
    assert np.array_equal(decode(write_wav(tmp_path / "equal.wav", np.stack([left, left])), mix=True)[1][0], left)
