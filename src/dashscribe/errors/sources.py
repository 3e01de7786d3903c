"""What can be wrong with one source: it cannot be had, read, or recognized; everything else goes on.

The tables are section 4.3 of the service's asynchronous interface and section 9 of the synchronous one; where families
or interfaces spell an error differently, the class carries every spelling.
"""

from __future__ import annotations

from typing import ClassVar, Self

from dashscribe.errors import DashscribeError, joined


class SourceError(DashscribeError):
    """Something is wrong with one source; other files of the task go on.

    ``code`` is what the ``file_urls`` families say; ``filetrans_code`` and ``sensevoice_code`` replace it where those
    families differ (api-async section 4.3). ``sync_text`` is the fixed text of a synchronous call that is refused for
    it, with code InvalidParameter (api-sync section 9); empty where such a call says the same as a task.
    """

    status = 400
    filetrans_code: ClassVar[str] = ""
    sensevoice_code: ClassVar[str] = ""
    sync_text: ClassVar[str] = ""

    def code_for(self, shape: str) -> str:
        """The code in the vocabulary of a result shape: ``file_urls``, ``file_url`` or ``sensevoice``."""
        special = {"file_url": self.filetrans_code, "sensevoice": self.sensevoice_code}.get(shape, "")
        return special or self.code

    def message_for(self, shape: str) -> str:
        """The fixed text, which is the code itself for the upper-case codes, followed by the detail."""
        code = self.code_for(shape)
        text = code if code.isupper() else self.text
        return f"{text} {self.detail}".strip()


class RefusedSourceError(SourceError):
    """A synchronous call refused for its source; ``sync_text`` is that of what is wrong with it."""

    code = "InvalidParameter"

    def __init__(self, detail: str = "", fixed_text: str = "") -> None:
        super().__init__(detail)
        self.args = (detail, fixed_text)
        self.fixed_text = fixed_text

    @property
    def message(self) -> str:
        """The fixed text of what is wrong, followed by the detail."""
        return joined(self.fixed_text, self.detail)


class DownloadFailedError(SourceError):
    """The source could not be fetched: network failure, refused connection."""

    code = "InvalidFile.DownloadFailed"
    filetrans_code = "FILE_DOWNLOAD_FAILED"
    text = "The audio file cannot be downloaded."
    sync_text = "Failed to download multimodal content."


class DownloadTimeoutError(DownloadFailedError):
    """The source did not come in time."""

    sync_text = "Download the media resource timed out during the data inspection process."


class SourceForbiddenError(DownloadFailedError):
    """The origin answered 401 or 403."""

    filetrans_code = "FILE_403_FORBIDDEN"


class SourceNotFoundError(DownloadFailedError):
    """The origin answered 404 or 410, or the local file does not exist."""

    filetrans_code = "FILE_404_NOT_FOUND"


class SourceServerError(DownloadFailedError):
    """The origin answered 5xx to every attempt."""

    filetrans_code = "FILE_SERVER_ERROR"


class SourceUrlError(DownloadFailedError):
    """A scheme that is not fetched, a local path in a request, a URL that cannot be read."""

    filetrans_code = "REQUEST_INVALID_FILE_URL_VALUE"
    sync_text = "The provided URL does not appear to be valid. Ensure it is correctly formatted."


class SourceAddressError(DownloadFailedError):
    """The URL leads to an address that the guard refuses; ``DASHSCRIBE_FETCH_ALLOW`` exempts hosts."""

    filetrans_code = "FILE_403_FORBIDDEN"


class UploadGoneError(DownloadFailedError):
    """An ``oss://`` source that is not the owner's, has expired, or was not asked to be resolved."""


class RecordingGoneError(DownloadFailedError):
    """A recording that was to be transcribed again, and is not the owner's or not kept any more."""


class ContentLengthError(DownloadFailedError):
    """The download's length differs from what its server announced."""

    filetrans_code = "CONTENT_LENGTH_CHECK_FAILED"


class FileTooLargeError(SourceError):
    """More bytes than the limit (2 GB by default; most synchronous models: 10 MB)."""

    code = "FILE_TOO_LARGE"
    sync_text = "<400> InternalError.Algo.InvalidParameter: Multimodal file size is too large"


class DataUriTooLargeError(FileTooLargeError):
    """A data URI whose encoded part is longer than 10 MB."""

    sync_text = f"{FileTooLargeError.sync_text}. Exceeded limit on max bytes per data-uri item : 10485760"


class DurationTooLongError(SourceError):
    """More sound than the limit (12 h by default; most synchronous models: 5 min)."""

    code = "AUDIO_DURATION_TOO_LONG"
    sync_text = "<400> InternalError.Algo.InvalidParameter: The audio is too long"
    #: What to do about the server's own limit.
    REMEDY: ClassVar[str] = "split it, or raise DASHSCRIBE_MAX_DURATION_S"

    @classmethod
    def of(cls, duration_ms: int, limit_ms: int, remedy: str = REMEDY) -> Self:
        """For a source that claims, or turns out, to be so long."""
        length = f"{duration_ms / 1000:.1f} s or more"
        return cls(f"The source is longer than the limit of {limit_ms / 1000:g} s: {length}; {remedy}.")


class DecodeError(SourceError):
    """The bytes are no audio that can be decoded."""

    code = "DECODE_ERROR"
    sensevoice_code = "InvalidFile.DecodeFailed"
    text = "The audio file cannot be decoded."
    sync_text = "The audio format is illegal and cannot be opened."


class NotAudioError(DecodeError):
    """The bytes are no audio, and their origin says so itself: a page, a picture."""

    sync_text = "Wrong Content-Type of multimodal url"


class NoAudioError(SourceError):
    """A readable container without sound: no audio stream, or no samples in it."""

    code = "NO_VALID_AUDIO_ERROR"
    sync_text = "The audio is empty"


class NoSuchChannelError(NoAudioError):
    """None of the requested channels exists in the file."""


class NoSpeechError(SourceError):
    """Nothing but non-speech in the requested channels."""

    code = "SUCCESS_WITH_NO_VALID_FRAGMENT"


class NoWordsError(SourceError):
    """Speech was there, but the final text is empty."""

    code = "ASR_RESPONSE_HAVE_NO_WORDS"


class RecognitionError(SourceError):
    """Every span of the source failed; the detail names the first reason."""

    code = "InternalError.Algo"
    status = 500
    text = "inference internal error."


class TaskTimeoutError(SourceError):
    """The task did not finish within its limit (off by default)."""

    code = "InternalError.Timeout"
    status = 500
    text = "The task did not finish in time."
