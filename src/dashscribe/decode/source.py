"""Opens a media file and says what it is: container, codec, the stream that is listened to, how long it claims to be.

Owns the guards at the door and the errors for what cannot be read; leaves decoding to ``decode``. Only demuxers of
single files are let in, whatever a file is called, so no playlist leads elsewhere, and FFmpeg opens nothing by itself.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, cast

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.error import ArgumentError, FFmpegError
from av.stream import Discard

from dashscribe.errors.sources import DecodeError, NoAudioError
from dashscribe.opening import ID3_HEADER_BYTES, id3_bytes
from dashscribe.types import MAX_CHANNELS, Media

#: FFmpeg's demuxers for the containers of the service (api-async section 1.3), and for a few that recorders and speech
#: corpora use. No image sequences, playlists or raw codecs: those read other files, or take anything for sound.
DEMUXERS = "aac,ac3,aiff,amr,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mpeg,mpegts,nistsphere,ogg,w64,wav"
READABLE = "aac amr avi flac flv m4a mkv mov mp3 mp4 mpeg ogg opus wav webm wma wmv, aiff 3gp caf ts and a few more"
REFUSED = "playlists, pictures, text, and samples without a header (.pcm, .raw), which belong into a WAV file"
#: Streams of bare frames: their time stamps merely count frames, so a hole shows in the bytes only.
BARE_STREAMS = frozenset({"aac", "ac3", "amr", "eac3", "mp3"})
#: No recorder is slower than 2 kHz or faster than 768 kHz; a header that says so is broken or hostile.
RATES_HZ = range(2_000, 768_001)

#: What QuickTime's family calls itself in the major brand of its first box.
BRANDS = {"qt  ": "mov", "M4A ": "m4a", "M4B ": "m4a", "3gp": "3gp", "3g2": "3g2"}
#: A RIFF size from here on is a placeholder of a recorder that could not go back to fill it in.
RIFF_PLACEHOLDER_BYTES = 0x7FFF_0000
#: Tags in a legacy encoding (GBK in many a Chinese MP3) raise before PyAV 19, unless it is told to replace what it
#: cannot read; from then on they never do, and there is nothing to tell.
_TAGS: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}


@dataclass(frozen=True, slots=True)
class Source:
    """An open file and the audio stream that is listened to.

    ``origin_s`` is the time stamp at which the file begins, ``start_s`` that of the stream. ``claim_s`` is the length
    that the header states, None where it states none or where FFmpeg merely guessed it from the size.
    """

    file: SourceFile
    container: InputContainer
    stream: AudioStream
    media: Media
    notes: tuple[str, ...]
    origin_s: float
    start_s: float
    claim_s: float | None

    def close(self) -> None:
        """Let go of the file."""
        self.container.close()
        self.file.close()

    @property
    def is_bare_stream(self) -> bool:
        """Whether the file is a row of frames with no time stamps of its own."""
        return self.container.format.name in BARE_STREAMS


class SourceFile(FileIO):
    """An open source, as FFmpeg reads it."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go there; -1, which FFmpeg takes for a failure of its own, for a place that a damaged file made up."""
        try:
            return super().seek(offset, whence)
        except OSError:
            return -1


def open_source(file: SourceFile, path: Path, url: str) -> Source:
    """Open a file for decoding and own it; only the name of ``path`` matters, and ``url`` is passed on into the media.

    Raises DecodeError for what cannot be read, NoAudioError when there is no audio stream.
    """
    try:
        container = _open(file, path)
    except BaseException:
        file.close()
        raise
    try:
        stream, notes = _choose_stream(container)
        _check_stream(stream)
        if stream.codec_context.name == "flac":
            # Otherwise checksums are ignored, and a damaged frame comes through as loud noise.
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        media = Media(
            url=url,
            container=_container_name(container),
            codec=stream.codec_context.codec.canonical_name,
            rate_hz=stream.rate,
            channel_count=stream.channels,
            duration_ms=round(1000 * _duration_s(container, stream)),
        )
        start_s = _start_s(stream)
        return Source(
            file=file,
            container=container,
            stream=stream,
            media=media,
            notes=notes,
            origin_s=min(start_s, _container_start_s(container, start_s)),
            start_s=start_s,
            claim_s=_claim_s(file, container, stream),
        )
    except BaseException:
        container.close()
        file.close()
        raise


def _open(file: SourceFile, path: Path) -> InputContainer:
    # FFmpeg gets the open file and no path: there is nothing that it could take for a protocol ("concat:a|b"). The name
    # only helps to guess the format, and no protocol at all is allowed for what a container refers to.
    file.name = path.name
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": ""}
    try:
        container = av.open(file, "r", options=options, **_TAGS)
        if container.format.name == "aac":
            # With FFmpeg's frame parser, packet positions leave out the bytes that were skipped in a damaged file.
            container.close()
            file.seek(0)
            bare = {**options, "fflags": "noparse+nofillin"}
            container = av.open(file, "r", options=bare, **_TAGS)
    except FFmpegError as error:
        raise DecodeError(_open_problem(file, error)) from error
    return container


def _open_problem(file: SourceFile, error: FFmpegError) -> str:
    if os.fstat(file.fileno()).st_size == 0:
        return "The file is empty."
    if isinstance(error, ArgumentError):
        return f"This kind of file is not read: {REFUSED}. Read are {READABLE}."
    return (
        f"No readable audio or video container ({error.strerror}): the file is damaged, cut off before its index, "
        f"or among those refused: {REFUSED}. Read are {READABLE}."
    )


def _choose_stream(container: InputContainer) -> tuple[AudioStream, tuple[str, ...]]:
    """The stream that a player would choose, and a note when there was a choice; all others are not even read."""
    streams = container.streams.audio
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise NoAudioError(f"The file holds no sound, only {kinds}.")
    best = container.streams.best("audio")
    chosen = best if isinstance(best, AudioStream) else streams[0]
    for other in container.streams:
        if other.index != chosen.index:
            other.discard = Discard.all
    if len(streams) == 1:
        return chosen, ()
    language = f" ({chosen.language})" if chosen.language else ""
    number = 1 + [stream.index for stream in streams].index(chosen.index)
    return chosen, (f"The file has {len(streams)} audio streams; number {number}{language} was taken.",)


def _check_stream(stream: AudioStream) -> None:
    """Refuse a stream without a decoder, and figures that no recording has."""
    context = cast("AudioCodecContext | None", stream.codec_context)  # the stubs leave out None, for unknown codecs
    if context is None:
        raise DecodeError("The audio codec of this file is not known.")
    if not 1 <= stream.channels <= MAX_CHANNELS:
        raise DecodeError(f"The file announces {stream.channels} channels; 1 to {MAX_CHANNELS} are read.")
    if stream.rate not in RATES_HZ:
        raise DecodeError(
            f"The file announces a sample rate of {stream.rate} Hz; {RATES_HZ[0]} to {RATES_HZ[-1]} Hz are read."
        )


def _container_name(container: InputContainer) -> str:
    """FFmpeg's short name; the MP4 family tells by its brand which member it is."""
    name = container.format.name.partition(",")[0]
    if name != "mov":
        return name
    brand = container.metadata.get("major_brand", "qt  ")
    return BRANDS.get(brand) or BRANDS.get(brand[:3]) or "mp4"


def _duration_s(container: InputContainer, stream: AudioStream) -> float:
    """What the stream, else the container, claims; 0 when neither does."""
    if stream.duration is not None and stream.time_base:  # PyAV 19 gives 0 where others give None
        return max(0.0, float(stream.duration * stream.time_base))
    # Matroska and FLV state the last time stamp, which is later in a recording that does not begin at zero.
    return max(0.0, (container.duration or 0) / av.time_base - _container_start_s(container, 0.0))


def _start_s(stream: AudioStream) -> float:
    return float((stream.start_time or 0) * (stream.time_base or 0))


def _container_start_s(container: InputContainer, start_s: float) -> float:
    start = cast("int | None", container.start_time)  # the stubs leave out None, for files without time stamps
    return start_s if start is None else start / av.time_base


def _claim_s(file: SourceFile, container: InputContainer, stream: AudioStream) -> float | None:
    """The length that the header states; a RIFF header states it in bytes, which FFmpeg cuts to what is there."""
    duration_s = _duration_s(container, stream)
    name = container.format.name
    if not duration_s or (name in BARE_STREAMS and not (name == "mp3" and _counts_frames(file))):
        return None
    if name == "wav":
        there_bytes = os.fstat(file.fileno()).st_size
        head = os.pread(file.fileno(), 8, 0)  # FFmpeg relies on where the file stands
        announced_bytes = int.from_bytes(head[4:], "little") + len(head)
        if head[:4] == b"RIFF" and there_bytes < announced_bytes < RIFF_PLACEHOLDER_BYTES:
            return duration_s * announced_bytes / there_bytes
    return duration_s


def _counts_frames(file: SourceFile) -> bool:
    """Whether an MP3 begins with a frame that states how many follow; otherwise FFmpeg guesses from the bit rate."""
    begin = id3_bytes(os.pread(file.fileno(), ID3_HEADER_BYTES, 0))
    head = os.pread(file.fileno(), 4096, begin)
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))
