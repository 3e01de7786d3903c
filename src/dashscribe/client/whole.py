"""One recording through a server, from the file to the transcript: upload, hotword list, task, result.

The same ``Options`` as on this machine go in, and a ``Transcript`` comes back. A server knows its own parameters only:
what a model does not take there is named in a note, as the service would, and a stretch is refused, since the server
would transcribe everything.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashscribe.catalog import Model, find_model
from dashscribe.client.reading import silent, transcript_of
from dashscribe.errors import InvalidParameterError
from dashscribe.errors import sources as source_errors
from dashscribe.errors.remote import ApiError, UnreachableError
from dashscribe.errors.sources import NoSpeechError, NoWordsError, SourceError, SourceNotFoundError
from dashscribe.types import Options, Progress, Transcript
from dashscribe.words import sendable

if TYPE_CHECKING:
    from dashscribe.background import OnProgress
    from dashscribe.client import Client, RemoteFile, TaskAnswer

#: What a list for one task is called, in its id.
PREFIX = "onetask"


def transcribe(
    client: Client,
    source: str | Path,
    options: Options,
    *,
    on_progress: OnProgress | None = None,
    timeout_s: float = float("inf"),
) -> Transcript:
    """The transcript of a local file or a URL, made by the server; see ``Client.transcribe``."""
    model = find_model(options.model)
    report = on_progress or _unseen
    check(options)
    url = _url(client, source, model, report)
    parameters, notes = _parameters(model, options)
    with _list(client, model, options) as more:
        task = client.submit(model.name, [url], parameters | more)
        try:
            answer = client.wait(task.id, lambda answer: _tell(report, answer), timeout_s)
        except BaseException:
            # Nobody waits for it any more. One that runs cannot be canceled: it goes on.
            with suppress(ApiError, UnreachableError):
                client.cancel(task.id)
            raise
        transcript = _transcript(client, answer, options)
    media = replace(transcript.media, url=sendable(str(source)))
    return replace(transcript, media=media, notes=(*notes, *transcript.notes))


def _unseen(progress: Progress) -> None:
    """Progress that nobody asked for."""


def check(options: Options) -> None:
    """Refuse what no server could do as it is meant. Raises InvalidParameterError."""
    if find_model(options.model).interface != "async":
        raise InvalidParameterError(
            f"{options.model} answers synchronous calls only; tasks take names such as fun-asr and "
            "qwen3-asr-flash-filetrans.",
            "model",
        )
    if options.stretch:
        raise InvalidParameterError(
            "A server transcribes whole recordings; cut the file before it is sent.", "begin_ms"
        )
    if not options.channels and not options.diarize:
        raise InvalidParameterError("A server has to be told the numbers of the channels, such as 0,1.", "channels")


def _url(client: Client, source: str | Path, model: Model, report: OnProgress) -> str:
    """The URL of a source, after uploading what lies here."""
    if isinstance(source, str) and source.lower().startswith(("http://", "https://", "oss://")):
        return source
    if not Path(source).is_file():
        raise SourceNotFoundError(f"{source}: no such file")
    return client.upload(
        Path(source), model.name, lambda sent, total: report(Progress(moved_bytes=sent, total_bytes=total))
    )


def _parameters(model: Model, options: Options) -> tuple[dict[str, Any], list[str]]:
    """The options by wire name, and notes on those that cannot be sent."""
    wanted: dict[str, Any] = {
        "channel_id": list(options.channels) if options.channels not in ((), (0,)) else None,
        "diarization_enabled": options.diarize,
        "speaker_count": options.speaker_count,
        "enable_itn": options.itn and not model.itn,
        "disfluency_removal_enabled": options.drop_fillers,
        "timestamp_alignment_enabled": options.refine_times,
        "context": options.context,
        "speech_noise_threshold": options.speech_noise_threshold,
    }
    given = {name: value for name, value in wanted.items() if value not in (None, False, "")}
    notes = [f"{name} had no effect: {model.name} does not take it" for name in given if name not in model.parameters]
    sent = {name: value for name, value in given.items() if name in model.parameters}
    if "enable_words" in model.parameters:
        sent["enable_words"] = True
    if model.language_parameter == "language" and options.languages:
        sent["language"] = options.languages[0]
        notes += [f"language: only {options.languages[0]} counts"] if len(options.languages) > 1 else []
    elif model.language_parameter and options.languages:
        sent["language_hints"] = list(options.languages)
    elif options.languages:
        notes.append(f"language_hints had no effect: {model.name} does not take it")
    if options.denoise:
        notes.append("denoise had no effect: no parameter of the service asks for it")
    if options.hotwords and "vocabulary_id" not in model.parameters:
        notes.append(f"hotwords had no effect: {model.name} takes no list of them")
    if options.diarize and not options.channels:
        notes.append("diarize: the server took channel 0; name the channels of a call")
    return sent, notes


@contextmanager
def _list(client: Client, model: Model, options: Options) -> Generator[dict[str, str]]:
    """The hotwords as a list on the server, which is gone afterwards."""
    if not options.hotwords or "vocabulary_id" not in model.parameters:
        yield {}
        return
    words = [
        {"text": word.text, "weight": word.weight} | ({"lang": word.language} if word.language else {})
        for word in options.hotwords
    ]
    made = client.customize("create_vocabulary", target_model=model.name, prefix=PREFIX, vocabulary=words)
    list_id = str(made.get("vocabulary_id", ""))
    try:
        yield {"vocabulary_id": list_id}
    finally:
        with suppress(ApiError, UnreachableError):
            client.customize("delete_vocabulary", vocabulary_id=list_id)


def _tell(report: OnProgress, answer: TaskAnswer) -> None:
    far = answer.extras.progress
    report(Progress(decoded_ms=far.total_ms, recognized_ms=far.done_ms, duration_ms=far.total_ms))


def _transcript(client: Client, answer: TaskAnswer, options: Options) -> Transcript:
    """What came of the only file of an ended task. Raises what it failed with."""
    task = answer.task
    failed = next((file for file in task.files if file.code), None)
    if file := next((file for file in task.files if file.result_url), None):
        transcript = transcript_of(client.result(file.result_url), options.model)
        more = [note for note in answer.extras.notes if note not in transcript.notes]
        return replace(transcript, notes=(*more, *transcript.notes))
    error = _error(failed, f"task {task.id} ended as {task.status}", task.code, task.message)
    if not isinstance(error, NoSpeechError | NoWordsError):
        raise error
    about = next(iter(answer.extras.files), None)
    empty = silent("", options.channels or (0,), options.model, about.ledger if about else {}, answer.extras.engine)
    return replace(empty, notes=(*answer.extras.notes, *(about.notes if about else ())))


def _error(failed: RemoteFile | None, outcome: str, code: str, message: str) -> SourceError | ApiError:
    """The error of a file or of its task, as the class that has its code."""
    code, message = (failed.code, failed.message) if failed else (code, message)
    detail = message.removeprefix(code).strip(" .:") or message
    for kind in _source_errors():
        if code and code in (kind.code, kind.filetrans_code, kind.sensevoice_code):
            return kind(detail)
    return ApiError(f"{outcome}: {code}: {message}" if code else outcome, api_code=code)


def _source_errors() -> Iterator[type[SourceError]]:
    """The classes of errors of sources in the order of their definition, the general before the special."""
    for kind in vars(source_errors).values():
        if isinstance(kind, type) and issubclass(kind, SourceError):
            yield kind
