"""``dashscribe hotwords test``: what a list does to recordings, measured on this machine without a server.

A term is found where it stands as a word of its own, whatever its capitals. How often it was said only a transcript
tells, a text file of the recording's name beside it; without one, nothing is said of recall and false insertions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import typer

from dashscribe.cli.output import print_json, print_table, telling
from dashscribe.cli.word_files import hotwords_in
from dashscribe.types import Hotword, Options, Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """How often the terms of a list were written without it and with it.

    ``said`` is how often they were said, ``found_without`` and ``found`` how many of those were written, and
    ``inserted`` how often one was written with the list that nobody said; None where no transcript tells.
    """

    file: str
    without: int
    with_list: int
    said: int | None = None
    found_without: int | None = None
    found: int | None = None
    inserted: int | None = None


def measure(file: Path, audio: Sequence[Path], model: str, language: str, *, as_json: bool) -> None:
    """Transcribe every recording twice and tell the difference."""
    from dashscribe import config
    from dashscribe.catalog import find_model, options_for
    from dashscribe.errors import DashscribeError
    from dashscribe.hosts import Hosts
    from dashscribe.pipeline import transcribe

    hotwords = hotwords_in(file, "FILE")
    languages = tuple(code.strip() for code in language.split(",") if code.strip())
    bare = options_for(find_model(model), languages=languages)
    settings = config.load()
    effects: list[Effect] = []
    failed = False
    with Hosts(settings, slots=settings.workers) as hosts, telling() as tell:

        def run(path: Path, options: Options) -> Transcript:
            return transcribe(path, options, settings=settings, hosts=hosts)

        for number, path in enumerate(audio, 1):
            tell(f"{number} of {len(audio)}: {path}, without the list and with it")
            try:
                effects.append(_effect(path, bare, hotwords, run))
            except DashscribeError as error:
                typer.echo(f"{path}: {error}", err=True)
                failed = True
    _tell(effects, as_json=as_json)
    raise typer.Exit(1 if failed else 0)


def _effect(
    path: Path, bare: Options, hotwords: Sequence[Hotword], run: Callable[[Path, Options], Transcript]
) -> Effect:
    said = _said(path)
    without = run(path, bare).text
    text = run(path, replace(bare, hotwords=tuple(hotwords))).text
    return counted(str(path), [word.text for word in hotwords if word.weight > 0], without, text, said)


def _said(path: Path) -> str | None:
    """The transcript beside a recording, if there is one. Raises DashscribeError for one that is no text."""
    from dashscribe.errors import DashscribeError

    reference = next((p for p in (path.with_suffix(".txt"), Path(f"{path}.txt")) if p.is_file() and p != path), None)
    try:
        return reference.read_text(encoding="utf-8-sig") if reference else None
    except UnicodeDecodeError as error:
        raise DashscribeError(f"{reference}, which says what was said, is not UTF-8") from error


def counted(file: str, terms: Sequence[str], without: str, text: str, said: str | None) -> Effect:
    """The effect of a list with these terms on one text."""
    before, after = ([count(term, one) for term in terms] for one in (without, text))
    if said is None:
        return Effect(file=file, without=sum(before), with_list=sum(after))
    real = [count(term, said) for term in terms]
    return Effect(
        file=file,
        without=sum(before),
        with_list=sum(after),
        said=sum(real),
        found_without=sum(map(min, before, real)),
        found=sum(map(min, after, real)),
        inserted=sum(max(wrote - spoke, 0) for wrote, spoke in zip(after, real, strict=True)),
    )


def count(term: str, text: str) -> int:
    """How often a term stands in a text; Latin letters beside it make it another word."""
    pattern = r"\s+".join(map(re.escape, term.split()))
    return len(re.findall(rf"(?<![^\W\d_\u2e80-\u9fff]){pattern}(?![^\W\d_\u2e80-\u9fff])", text, re.IGNORECASE))


def _tell(effects: Sequence[Effect], *, as_json: bool) -> None:
    total = _total(effects)
    if as_json:
        print_json({"files": [asdict(effect) for effect in effects], "total": {**asdict(total), **_shares(total)}})
        return
    rows: list[tuple[str, ...]] = []
    for one in (*effects, total) if len(effects) != 1 else effects:
        numbers = (one.said, one.without, one.with_list, one.found, one.inserted)
        rows.append((one.file, *("-" if number is None else str(number) for number in numbers)))
    print_table(("FILE", "SAID", "WITHOUT", "WITH", "FOUND", "INSERTED"), rows, free=("FILE",))
    for name, share in _shares(total).items():
        typer.echo(f"{name.replace('_', ' ')}: {100 * share:.0f} %")


def _total(effects: Sequence[Effect]) -> Effect:
    """All together; what transcripts tell, over the recordings that have one."""
    told = [effect for effect in effects if effect.said is not None]

    def over(name: str) -> int | None:
        return sum(getattr(effect, name) for effect in told) if told else None

    return Effect(
        file="total",
        without=sum(effect.without for effect in effects),
        with_list=sum(effect.with_list for effect in effects),
        said=over("said"),
        found_without=over("found_without"),
        found=over("found"),
        inserted=over("inserted"),
    )


def _shares(total: Effect) -> dict[str, float]:
    """Recall without and with the list, where anything tells."""
    if not total.said or total.found is None or total.found_without is None:
        return {}
    return {"recall_without": total.found_without / total.said, "recall": total.found / total.said}
