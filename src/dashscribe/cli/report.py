"""What came of each input, for people and for scripts: text or JSON on standard output, the rest on stderr.

Text is printed as it is recognized and in the order of the inputs, whichever of them is done first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dashscribe.cli import reason
from dashscribe.cli.batch import Copied, Ended, Event, Moved, Said
from dashscribe.cli.results import InOrder, write
from dashscribe.cli.screen import Screen
from dashscribe.cli.sources import Source
from dashscribe.cli.times import shown
from dashscribe.errors import DashscribeError
from dashscribe.errors.sources import NoSpeechError, NoWordsError
from dashscribe.pipeline import refuse_empty
from dashscribe.render import PRESETS, CaptionStyle, render
from dashscribe.types import Fate, Sentence, Transcript, joint

#: The folder, and the name without extension, for the files of an input.
Place = Callable[[int], tuple[Path, str]]


class Report:
    """Turns events into output; ``failed`` counts the inputs that came to nothing.

    ``place`` gives the folder and the name for the files of an input, in all ``formats``; without it the only format
    goes to standard output. ``style`` is that of captions. ``sources`` may grow; unless ``ordered``, lines of JSON come
    as inputs end.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        formats: Sequence[str],
        place: Place | None,
        screen: Screen,
        *,
        as_json: bool,
        ordered: bool = True,
        style: CaptionStyle = PRESETS["default"],
    ) -> None:
        self.failed = 0
        #: What was wrong with each of them, results that could not be written included.
        self.errors: dict[int, Exception] = {}
        self.sources = sources
        self._formats, self._place, self._screen = formats, place, screen
        self._as_json, self._style = as_json, style
        self._plain = not (place or as_json) and formats == ("txt",)
        self._stdout = InOrder(screen.print)
        self._ordered = ordered
        self._last: dict[int, Sentence] = {}

    def take(self, event: Event) -> None:
        """Show what happened."""
        match event:
            case Copied(index, received_bytes, total_bytes):
                self._screen.copied(index, received_bytes, total_bytes)
            case Moved(index, progress):
                self._screen.moved(index, progress)
            case Said(index, sentence):
                if self._plain:
                    self._stream(index, sentence)
            case Ended():
                self._screen.ended(event.index)
                self._end(event)

    def skip(self, source: Source, paths: Sequence[Path]) -> None:
        """Say that the results of an input are there already."""
        files = [str(path) for path in paths]
        self._screen.note(f"{source.label}: skipped, {', '.join(files)} is newer; --force does it again")
        if self._as_json:
            summary = {"input": source.label, "status": "skipped", "files": files}
            self._screen.print(json.dumps(summary, ensure_ascii=False) + "\n")

    def interrupted(self, unfinished: int) -> None:
        """Print what ended before the end; say what did not."""
        with suppress(OSError):  # the terminal may be what ended
            self._stdout.give_up()
            again = "; the same command goes on with them" if self._place and unfinished else ""
            self._screen.note(f"interrupted, {unfinished} not finished{again}")

    def _stream(self, index: int, sentence: Sentence) -> None:
        """Print a sentence: on a terminal as a line, else so that all of them give exactly the text."""
        last = self._last.get(index)
        if last is None:
            between = self._heading(index)
        else:
            between = "\n" if sys.stdout.isatty() else joint(last.text, sentence.text)
        self._last[index] = sentence
        self._stdout.add(index, between + sentence.text)

    def _heading(self, index: int) -> str:
        if len(self.sources) == 1:
            return ""
        return ("\n" if index else "") + f"==> {self.sources[index].label} <==\n"

    def _end(self, event: Ended) -> None:
        label, index = self.sources[event.index].label, event.index
        summary: dict[str, Any] = {"input": label, "status": "ok", "elapsed_ms": round(event.elapsed_s * 1000)}
        if index in self._last:
            self._stdout.add(index, "\n")
        # What is told of it, once its text is safe: whoever reads that an input is done may press Ctrl-C.
        told: list[tuple[Callable[[str], None], str]] = []
        try:
            if isinstance(event.result, Exception):
                raise event.result
            silence = _silence(event.result)
            summary["status"] = "silent" if silence else "ok"
            summary |= _figures(event.result) | self._deliver(index, event.result)
            told.append((self._screen.note, f"{silence or _effort(event.result, event.elapsed_s)}{_where(summary)}"))
            told.append((self._screen.detail, _details(event.result)))
            told += ((self._screen.note, note) for note in event.result.notes)
            for channel, failed_ms in _failed_ms(event.result).items():
                lost = f"{failed_ms / 1000:.1f} s of channel {channel} could not be transcribed"
                told.append((self._screen.warn, f"{lost}; -f json says where and why"))
        except BrokenPipeError:  # nobody reads on: the end of everything, not of one input
            raise
        except Exception as error:  # whatever it was, the other inputs go on
            self.failed += 1
            self.errors[index] = error
            code = error.code if isinstance(error, DashscribeError) else DashscribeError.code
            summary |= {"status": "failed", "code": code, "error": str(error)}
            told.append((self._screen.warn, reason(error)))
        if self._as_json:
            line = json.dumps(summary, ensure_ascii=False) + "\n"
            self._stdout.add(index, line) if self._ordered else self._screen.print(line)
        self._stdout.end(index)
        for tell, text in told:
            tell(f"{label}: {text}")

    def _deliver(self, index: int, transcript: Transcript) -> dict[str, Any]:
        """Write the files, or print what has not been printed yet."""
        if self._place:
            folder, name = self._place(index)
            paths = write(folder, name, self._formats, transcript, self._style)
            return {"files": [str(path) for path in paths]}
        if self._as_json:
            told = any(track.turns for track in transcript.tracks)
            return {"text": transcript.to("txt").strip() if told else transcript.text}
        if index not in self._last:
            heading = self._heading(index) if self._plain else ""
            self._stdout.add(index, heading + render(transcript, self._formats[0], self._style))
        return {}


def _silence(transcript: Transcript) -> str:
    """Why there is no text; empty if there is some. Raises RecognitionError when all recognition failed."""
    try:
        refuse_empty(transcript)
    except (NoSpeechError, NoWordsError) as silence:
        return str(silence)
    return ""


def _where(summary: dict[str, Any]) -> str:
    return f" -> {', '.join(summary['files'])}" if "files" in summary else ""


def _figures(transcript: Transcript) -> dict[str, Any]:
    return {
        "model": transcript.model,
        "engine": transcript.engine,
        "duration_ms": transcript.media.duration_ms,
        "speech_ms": sum(track.speech_ms for track in transcript.tracks),
        "failed_ms": sum(_failed_ms(transcript).values()),
        "notes": list(transcript.notes),
    }


def _details(transcript: Transcript) -> str:
    """What a recording was and what was found in it, in one line."""
    media, sentences = transcript.media, transcript.sentences
    form = " ".join(filter(None, (media.container, media.codec, f"{media.rate_hz} Hz" if media.rate_hz else "")))
    speech_ms = sum(track.speech_ms for track in transcript.tracks)
    speakers = {(track.channel, s.speaker) for track in transcript.tracks for s in track.sentences}
    told = len({speaker for speaker in speakers if speaker[1] is not None})
    parts = [
        form,
        f"channels {', '.join(str(track.channel) for track in transcript.tracks)} of {media.channel_count}",
        f"{shown(speech_ms)} of speech",
        f"{len(sentences)} sentences, {sum(len(s.words) for s in sentences)} words",
        f"{told} speakers" if told else "",
        f"{transcript.model} by {transcript.engine}",
    ]
    return "; ".join(filter(None, parts))


def _failed_ms(transcript: Transcript) -> dict[int, int]:
    """Milliseconds booked as failed, of each channel that has any."""
    lost = {
        track.channel: sum(entry.end_ms - entry.begin_ms for entry in track.ledger if entry.fate is Fate.FAILED)
        for track in transcript.tracks
    }
    return {channel: failed_ms for channel, failed_ms in lost.items() if failed_ms}


def _effort(transcript: Transcript, elapsed_s: float) -> str:
    """How much sound, in what time; a stretch counts by its length."""
    ledger = transcript.tracks[0].ledger
    worked_ms = ledger[-1].end_ms - ledger[0].begin_ms if ledger else 0
    return f"{shown(worked_ms)} in {elapsed_s:.1f} s, {worked_ms / 1000 / max(elapsed_s, 0.001):.1f}x real time"
