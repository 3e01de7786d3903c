"""Decoding of healthy files: every container, rate, format and channel arrives whole, in place and unmixed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dashscribe.decode import Decoder, decode_flac, encode_flac, probe
from dashscribe.errors.sources import DecodeError, NoAudioError, NoSuchChannelError, SourceNotFoundError
from dashscribe.types import RATE_HZ, Span
from media_files import (
    BURST_S,
    RECIPES,
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


def assert_known_sound(samples: NDArray[np.int16], shift_s: float) -> None:
    """Both channels carry their own tone at their own times, no more than ``shift_s`` away."""
    for channel, (tone_hz, begins) in zip(samples, TONES, strict=True):
        assert onsets(channel) == pytest.approx(begins, abs=shift_s)
        for begin in begins:
            middle = channel[int((begin + 0.1) * RATE_HZ) : int((begin + BURST_S - 0.05) * RATE_HZ)]
            assert pitch_hz(middle) == pytest.approx(tone_hz, abs=10)


@pytest.mark.parametrize("name", RECIPES)
def test_healthy_file_arrives_whole_and_in_place(media: MediaMaker, name: str) -> None:
    _, container, codec, shift_s = RECIPES[name]
    decoder, samples = decode(media(name), (0, 1))
    assert (decoder.media.container, decoder.media.codec, decoder.media.channel_count) == (container, codec, 2)
    assert decoder.lost == []
    assert decoder.notes == []
    assert decoder.end_ms == decoder.media.duration_ms == samples.shape[1] // 16
    assert decoder.end_ms / 1000 == pytest.approx(SECONDS, abs=0.06)
    assert_known_sound(samples, shift_s)


def test_amr_arrives_whole_and_in_place() -> None:
    """The file is the tones at 12.2 kbit/s by libopencore, which PyAV has up to version 18 and Debian not at all."""
    decoder, samples = decode(Path(__file__).parent / "phone.amr")
    assert (decoder.media.codec, decoder.media.rate_hz, decoder.lost, decoder.notes) == ("amr_nb", 8000, [], [])
    assert onsets(samples[0]) == pytest.approx(TONES[0][1], abs=0.02)


def test_real_recordings_decode_without_loss(audio_dir: Path, recordings: list[dict[str, object]]) -> None:
    for row in recordings:
        if str(row["file"]).endswith(".raw"):
            continue
        decoder, samples = decode(audio_dir / str(row["file"]))
        assert decoder.lost == [], row["file"]
        assert samples.shape[1] / RATE_HZ == pytest.approx(row["duration_s"], abs=0.1), row["file"]


# --- samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac"])
def test_16_khz_int16_comes_through_bit_exact(ffmpeg: Callable[..., None], tmp_path: Path, codec: str) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, (1, 40_001)).astype(np.int16)
    path = tmp_path / "exact.mka"
    ffmpeg("-i", write_wav(tmp_path / "exact.wav", noise), "-c:a", codec, path)
    for file in (path, tmp_path / "exact.wav"):
        assert np.array_equal(decode(file)[1], noise)


@pytest.mark.parametrize("rate_hz", [6000, 8000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_any_rate_keeps_length_level_and_time(tmp_path: Path, rate_hz: int) -> None:
    sound = tone_bursts(rate_hz)
    decoder, samples = decode(write_wav(tmp_path / "rate.wav", sound, rate_hz), (0, 1))
    assert samples.shape[1] == 64_000
    assert decoder.media.rate_hz == rate_hz
    assert_known_sound(samples, 0.002)
    steady = samples[0, int(0.6 * RATE_HZ) : int(0.7 * RATE_HZ)].astype(float)
    assert np.sqrt(np.mean(steady**2)) == pytest.approx(0.3 * 32767 / np.sqrt(2), rel=0.002)


def test_tone_above_8_khz_leaves_no_alias(tmp_path: Path) -> None:
    at_s = np.arange(44_100) / 44_100
    tone = np.rint(10_000 * np.sin(2 * np.pi * 8500 * at_s)).astype(np.int16)
    _, samples = decode(write_wav(tmp_path / "alias.wav", tone[None], 44_100))
    assert np.abs(samples[0, 2000:-2000]).max() <= 40  # 48 dB down; FFmpeg's own resampler leaves 26 dB


@pytest.mark.parametrize(
    ("codec", "numbers", "zero", "one"),
    [
        ("pcm_u8", "u1", 128, 2**7),
        ("pcm_s16le", "<i2", 0, 2**15),
        ("pcm_s32le", "<i4", 0, 2**31),
        ("pcm_s64le", "<i8", 0, 2**63),
        ("pcm_f32le", "<f4", 0, 1),
        ("pcm_f64le", "<f8", 0, 1),
    ],
)
def test_every_sample_format_keeps_its_scale(tmp_path: Path, codec: str, numbers: str, zero: int, one: int) -> None:
    expected = np.arange(-128, 128, dtype=np.int64) * 256
    raw = expected * (one // 2**15) if one > 2**15 else expected / 2**15 * one + zero
    data = raw.astype(numbers).tobytes()
    path = tmp_path / "samples.wav"
    path.write_bytes(wav_bytes(data, tag=3 if "f" in numbers else 1, bits=8 * np.dtype(numbers).itemsize))
    decoder, samples = decode(path)
    assert decoder.media.codec == codec
    assert samples[0].tolist() == expected.tolist()


def test_float_samples_round_half_to_even_and_clip_without_wrapping(tmp_path: Path) -> None:
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 32767.5, 32768, 50_000, -32768, -50_000, np.nan, np.inf, -np.inf, 7])
    path = tmp_path / "samples.wav"
    path.write_bytes(wav_bytes((values / 32768).astype("<f4").tobytes(), tag=3, bits=32))
    expected = [0, 2, 2, 0, -2, 32767, 32767, 32767, -32768, -32768, 0, 32767, -32768, 7]
    assert decode(path)[1][0].tolist() == expected


def test_full_scale_square_wave_does_not_wrap_when_resampled(tmp_path: Path) -> None:
    square = np.where(np.arange(48_000) // 48 % 2, 32767, -32768).astype(np.int16)
    _, samples = decode(write_wav(tmp_path / "square.wav", square[None], 48_000))
    halves = samples[0, 160:-160].reshape(-1, 16)[:, 4:12]  # the middles of its half periods
    assert np.all(np.abs(np.diff(np.sign(halves), axis=1)) == 0)


# --- channels ---------------------------------------------------------------------------------------------------------


def test_channels_come_in_the_order_asked_for_without_duplicates(tmp_path: Path) -> None:
    sound = np.arange(6, dtype=np.int16)[:, None] * 1000 + np.arange(500, dtype=np.int16)
    decoder, samples = decode(write_wav(tmp_path / "six.wav", sound), (5, 0, 3, 5))
    assert decoder.channels == (5, 0, 3)
    assert np.array_equal(samples, sound[[5, 0, 3]])


def test_channels_beyond_eight_are_picked_from_planar_frames(ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    at_s = np.arange(48_000) / 48_000
    sound = np.array([np.rint(9000 * np.sin(2 * np.pi * 200 * (1 + i) * at_s)) for i in range(12)]).astype("<i2")
    (tmp_path / "twelve.raw").write_bytes(sound.T.tobytes())
    source = ("-f", "s16le", "-ar", "48000", "-ac", "12", "-i", tmp_path / "twelve.raw")
    ffmpeg(*source, "-c:a", "libopus", "-mapping_family", "255", tmp_path / "twelve.opus")
    decoder, samples = decode(tmp_path / "twelve.opus", (11, 0, 8))
    assert decoder.media.channel_count == 12
    assert [round(pitch_hz(row[4000:12_000]), -1) for row in samples] == [2400, 200, 1800]


def test_missing_channel_is_skipped_with_a_note(tmp_path: Path) -> None:
    decoder, samples = decode(write_wav(tmp_path / "stereo.wav", tone_bursts(RATE_HZ)), (1, 2, -1))
    assert decoder.channels == (1,)
    assert samples.shape[0] == 1
    assert decoder.notes == ["Channel 2, -1 was skipped: the file has 2 channels, numbered from 0."]


def test_file_without_any_requested_channel_is_refused(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "mono.wav", tone_bursts(RATE_HZ)[:1])
    with pytest.raises(NoSuchChannelError, match="no channel 1: the file has 1 channel, numbered from 0"):
        Decoder(path, url="", channels=(1,), stretch=None)
    with pytest.raises(NoSuchChannelError, match="no channel to read"):
        Decoder(path, url="", channels=(), stretch=None)


def test_default_audio_stream_is_taken_with_a_note(
    ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path
) -> None:
    path = tmp_path / "two.mkv"
    silent = ("-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono:d=4")
    second_is_default = ("-disposition:a:0", "0", "-disposition:a:1", "default", "-metadata:s:a:1", "language=deu")
    ffmpeg(*silent, "-i", media("pcm.wav"), "-map", "0:a", "-map", "1:a", "-c:a", "flac", *second_is_default, path)
    decoder, samples = decode(path, (0, 1))
    assert decoder.notes == ["The file has 2 audio streams; number 2 (deu) was taken."]
    assert_known_sound(samples, 0.002)


# --- the clock --------------------------------------------------------------------------------------------------------


def test_sound_that_starts_after_the_picture_keeps_the_clock(
    ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path
) -> None:
    path = tmp_path / "late.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc=d=5:s=64x64")
    ffmpeg("-itsoffset", "1.5", "-i", media("pcm.wav"), *picture, "-c:a", "flac", "-c:v", "mpeg4", path)
    decoder, samples = decode(path)
    assert decoder.lost == []
    assert onsets(samples[0]) == pytest.approx([begin + 1.5 for begin in TONES[0][1]], abs=0.002)


@pytest.mark.parametrize(
    "name", ["opus.opus", "vorbis.ogg", "adts.aac", "xing.mp3", "dolby.ac3", "video.ts", "video.mpeg"]
)
def test_joined_files_decode_to_both_sounds(media: MediaMaker, tmp_path: Path, name: str) -> None:
    assert_joined(media(name), media(name), tmp_path)


@pytest.mark.parametrize("name", ["adts.aac", "xing.mp3", "dolby.ac3"])
def test_rate_that_changes_midway_keeps_the_clock(
    ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path, name: str
) -> None:
    ffmpeg("-i", media("pcm.wav"), *RECIPES[name][0], "-ar", "32000", tmp_path / name)
    assert_joined(media(name), tmp_path / name, tmp_path)


def assert_joined(first: Path, second: Path, folder: Path) -> None:
    """Both files, one after the other, decode to both sounds, nothing lost."""
    joined = folder / f"joined{first.suffix}"
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    decoder, samples = decode(joined)
    assert (decoder.lost, decoder.notes) == ([], [])
    assert decoder.end_ms / 1000 == pytest.approx(2 * SECONDS, abs=0.15)
    begins = TONES[0][1]
    assert onsets(samples[0]) == pytest.approx([*begins, *(begin + SECONDS for begin in begins)], abs=0.15)


def test_joined_ogg_that_ffmpeg_cannot_follow_says_where_it_stopped(
    ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path
) -> None:
    ffmpeg("-i", media("pcm.wav"), "-ar", "22050", "-c:a", "libvorbis", tmp_path / "low.ogg")
    joined = tmp_path / "joined.ogg"
    joined.write_bytes(media("vorbis.ogg").read_bytes() + (tmp_path / "low.ogg").read_bytes())
    decoder, _ = decode(joined)
    assert any(note.startswith("Reading stopped at 4.0 s") for note in decoder.notes)


def test_tags_in_a_joined_mp3_are_no_lost_sound(ffmpeg: Callable[..., None], media: MediaMaker, tmp_path: Path) -> None:
    tagged = tmp_path / "tagged.mp3"
    ffmpeg("-i", media("bare.mp3"), "-c", "copy", "-id3v2_version", "3", "-metadata", f"comment={'x' * 9000}", tagged)
    old_tag = b"TAG" + b"title".ljust(125, b"\0")
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(media("bare.mp3").read_bytes() + old_tag + tagged.read_bytes() + old_tag)
    decoder, samples = decode(joined)
    assert (decoder.lost, decoder.notes) == ([], [])
    assert onsets(samples[0])[2:] == pytest.approx([begin + SECONDS for begin in TONES[0][1]], abs=0.15)


def test_tags_in_a_legacy_encoding_are_no_obstacle(media: MediaMaker, tmp_path: Path) -> None:
    title = "会议录音".encode("gbk")
    frame = b"TIT2" + (len(title) + 1).to_bytes(4, "big") + b"\0\0\0" + title
    path = tmp_path / "gbk.mp3"
    path.write_bytes(b"ID3\x03\0\0" + bytes([0, 0, 0, len(frame)]) + frame + media("bare.mp3").read_bytes())
    raw_tag = b"TAG" + "会议录音".encode("gbk").ljust(125, b"\0")
    path.write_bytes(path.read_bytes() + raw_tag)
    assert probe(path, "").codec == "mp3"


# --- a part of a file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "pcm.wav",
        "xing.mp3",
        "edit.m4a",
        "opus.opus",
        "vorbis.ogg",
        "frames.flac",
        "mulaw.wav",
        "sound.wma",
        "video.flv",
    ],
)
def test_stretch_gives_the_samples_of_the_whole(media: MediaMaker, name: str) -> None:
    _, whole = decode(media(name), (0, 1))
    for span in (Span(0, 1000), Span(333, 334), Span(1017, 3591), Span(3000, 9000)):
        decoder, part = decode(media(name), (0, 1), span)
        assert np.array_equal(part, whole[:, span.begin_ms * 16 : span.end_ms * 16])
        assert (decoder.begin_ms, decoder.end_ms) == (span.begin_ms, span.begin_ms + part.shape[1] // 16)


@pytest.mark.parametrize("name", ["long.wav", "long.w64", "long.aiff", "long.caf", "long.au"])
def test_stretch_of_long_pcm_gives_the_samples_of_the_whole(
    ffmpeg: Callable[..., None], tmp_path: Path, name: str
) -> None:
    noise = np.random.default_rng(2).integers(-9000, 9000, (2, 22_050 * 60)).astype(np.int16)
    source = write_wav(tmp_path / "source.wav", noise, 22_050)
    ffmpeg("-i", source, *(() if name.endswith(("wav", "w64")) else ("-c:a", "pcm_s16be")), tmp_path / name)
    _, whole = decode(tmp_path / name, (1,))
    decoder, part = decode(tmp_path / name, (1,), Span(41_001, 42_003))
    assert np.array_equal(part, whole[:, 41_001 * 16 : 42_003 * 16])
    assert decoder.media.duration_ms == 60_000


def test_stretch_beyond_the_end_is_refused_with_the_duration(media: MediaMaker) -> None:
    for name in ("pcm.wav", "xing.mp3"):
        decoder = Decoder(media(name), url="", channels=(0,), stretch=Span(4000, 5000))
        with pytest.raises(NoAudioError, match="begins at 4000 ms; the file ends at 4000 ms"):
            list(decoder)


def test_closing_the_iterator_early_is_allowed(media: MediaMaker) -> None:
    blocks = iter(Decoder(media("pcm.wav"), url="", channels=(0,), stretch=None))
    assert next(blocks).shape[0] == 1
    del blocks


# --- what is refused --------------------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(DecodeError) as caught:
        probe(path, "https://example.com/file")
    assert str(path.parent) not in caught.value.message
    return caught.value.detail


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.mp3", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{media}\n#EXT-X-ENDLIST\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile://{media}\n#EXT-X-ENDLIST\n"),
        ("list.wav", "ffconcat version 1.0\nfile '{media}'\n"),
        (
            "list.mp4",
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{media}</BaseURL></MPD>',
        ),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n"),
        ("note.txt", "Four score and seven years ago our fathers brought forth on this continent a new nation.\n" * 9),
        ("page.mp3", "<!DOCTYPE html><html><body>Not found</body></html>"),
        ("answer.wav", '{{"error": "not found"}}'),
    ],
)
def test_playlist_or_text_under_any_name_is_refused(media: MediaMaker, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content.format(media=media("pcm.wav")), encoding="utf-8")
    assert "Read are aac amr avi" in refusal(tmp_path / name)


def test_name_that_looks_like_a_protocol_is_only_a_name(
    media: MediaMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "concat:a.wav|b.wav").write_bytes(media("pcm.wav").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert probe(Path("concat:a.wav|b.wav"), "").codec == "pcm_s16le"


def test_raw_samples_are_refused_with_the_remedy(tmp_path: Path) -> None:
    for name in ("speech.raw", "speech.pcm", "speech"):
        (tmp_path / name).write_bytes(tone_bursts(RATE_HZ)[0].tobytes())
        assert "samples without a header (.pcm, .raw), which belong into a WAV file" in refusal(tmp_path / name)


def test_real_raw_recording_is_refused(audio_dir: Path) -> None:
    assert "without a header" in refusal(audio_dir / "en_goforward.raw")


def test_empty_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    assert refusal(tmp_path / "empty.mp3") == "The file is empty."
    assert "No readable" in refusal(tmp_path)
    (tmp_path / "zeros.wav").write_bytes(bytes(50_000))
    assert "No readable" in refusal(tmp_path / "zeros.wav")
    with pytest.raises(SourceNotFoundError, match=r"no file 'absent.wav'"):
        probe(tmp_path / "absent.wav", "")


def test_video_without_sound_is_no_audio(ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=1:s=64x64", "-c:v", "mpeg4", tmp_path / "mute.mp4")
    with pytest.raises(NoAudioError, match="holds no sound, only video"):
        probe(tmp_path / "mute.mp4", "")


def test_file_with_no_samples_is_no_audio(ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    ffmpeg("-i", write_wav(tmp_path / "none.wav", tone_bursts(RATE_HZ)[:, :0]), tmp_path / "none.mka")
    for name in ("none.wav", "none.mka"):
        with pytest.raises((NoAudioError, DecodeError)):
            probe(tmp_path / name, "")


# --- probing, packing, memory -----------------------------------------------------------------------------------------


def test_probe_tells_what_the_file_is(media: MediaMaker) -> None:
    found = probe(media("opus.opus"), "https://example.com/a.opus")
    assert (found.url, found.container, found.codec, found.rate_hz) == (
        "https://example.com/a.opus",
        "ogg",
        "opus",
        48_000,
    )
    assert found.duration_ms == pytest.approx(4000, abs=10)


def test_flac_of_damaged_bytes_is_a_decode_error() -> None:
    packed = encode_flac(tone_bursts(RATE_HZ)[0])
    for broken in (b"", b"fLaC", packed[: len(packed) // 2], b"x" * 500):
        with pytest.raises(DecodeError):
            decode_flac(broken)


def test_equal_samples_pack_to_equal_bytes() -> None:
    sound = tone_bursts(RATE_HZ)[0]
    assert encode_flac(sound) == encode_flac(sound.copy())
    assert len(encode_flac(sound[:160])) < 500


PEAK = """
import resource, sys
from pathlib import Path
from dashscribe.decode import Decoder
for block in Decoder(Path(sys.argv[1]), url="", channels=(0, 1), stretch=None): pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_length(ffmpeg: Callable[..., None], tmp_path: Path) -> None:
    peaks_kib: list[int] = []
    for minutes in (1, 12):
        path = tmp_path / f"{minutes}.flac"
        ffmpeg("-f", "lavfi", "-i", f"sine=d={minutes * 60}:r=22050", "-ac", "2", path)
        done = subprocess.run([sys.executable, "-c", PEAK, str(path)], check=True, capture_output=True, text=True)
        peaks_kib.append(int(done.stdout))
    assert peaks_kib[1] - peaks_kib[0] < 12_000  # 11 minutes of two channels are 42 MB of int16
