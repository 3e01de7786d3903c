"""Everything that the library does, in one program; docs/python.md explains it.

    python examples/library.py RECORDING [BASE_URL]

A second argument has a server do the work as well; its key is in DASHSCOPE_API_KEY.
"""

import asyncio
import sys
from pathlib import Path

import dashscribe
from dashscribe import Client, Hotword, Progress, Sentence, Transcript


def show(progress: Progress) -> None:
    """A line for each report of progress."""
    print(f"{progress.fraction:.0%}", file=sys.stderr)


def here(recording: Path) -> Transcript:
    """Transcribe on this machine, with hotwords, and print three formats."""
    transcript = dashscribe.transcribe(
        recording,
        model="fun-asr",
        language=["en", "zh"],
        hotwords=["etcd", Hotword("Kestrel Bridge", weight=5, language="en")],
        on_progress=show,
    )
    captions: str = transcript.to_srt("chinese")
    print(transcript.text, captions, transcript.to_tsv(), sep="\n")
    return transcript


def live(recording: Path) -> None:
    """Print sentences as they are settled."""
    with dashscribe.stream(recording) as stream:
        for sentence in stream:
            first: int | None = sentence.words[0].begin_ms if sentence.words else None
            print(first, sentence.text)


async def awaited(recording: Path) -> None:
    """The same in a program that awaits."""

    def told(channel: int, sentence: Sentence) -> None:
        print(channel, sentence.text)

    transcript = await dashscribe.atranscribe(recording, on_sentence=told, channels=[0])
    print(transcript.notes)
    async for sentence in dashscribe.stream(recording, begin_ms=1_000, duration_ms=5_000):
        print(sentence.text)


def elsewhere(recording: Path, base_url: str) -> Transcript:
    """Have a server do it: the file is uploaded, and the same kind of transcript comes back."""
    with Client(base_url) as client:
        return client.transcribe(recording, model="paraformer-v2", drop_fillers=True, on_progress=show)


def main(recording: Path, base_url: str = "") -> None:
    """All of it, with errors told in a line."""
    try:
        here(recording)
        live(recording)
        asyncio.run(awaited(recording))
        if base_url:
            print(elsewhere(recording, base_url).to_vtt())
    except dashscribe.SourceError as error:
        sys.exit(f"{recording}: {error}")
    except dashscribe.DashscribeError as error:
        sys.exit(f"{error.code}: {error}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
