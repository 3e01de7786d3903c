"""Verifies installed models: the files are those of the card, would load, and give a text in a child process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dashscribe.errors import DashscribeError, WeightsError
from dashscribe.weights import CARD, Installed, read_card
from dashscribe.weights.cards import checksum, write_card
from dashscribe.weights.families import FAMILIES
from dashscribe.weights.installing import Watch
from dashscribe.weights.shelf import Shelf

#: Transcribes the built-in utterance, which is English, with a model, in a child process; raises DashscribeError.
Decode = Callable[[Installed], str]
#: Finds out how many pieces of sound a model may decode at once without any result changing, and what computed ("cpu",
#: "cuda"), for which alone that holds; None for a model whose engine never does. Raises DashscribeError.
FindBatch = Callable[[Installed], tuple[str, int] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check came to: the model is good if there are no ``problems``. ``text`` is what it made of the sound."""

    name: str
    family: str = ""
    digest: str = ""
    text: str = ""
    problems: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])


def verify_all(
    models_dir: Path,
    names: Sequence[str] = (),
    *,
    decode: Decode | None = None,
    find_batch: FindBatch | None = None,
    watch: Watch | None = None,
) -> list[Verdict]:
    """Verify the named models, or everything that lies in the folder, half installed models included."""
    verdicts: list[Verdict] = []
    for name in names or Shelf(models_dir).names():
        folder = models_dir / Path(name).name  # a name, not a path
        try:
            model = read_card(folder)
        except WeightsError as error:
            problem = f"{error}; `dashscribe models add {folder}` makes a model of a folder that has all its files"
            verdicts.append(Verdict(name=name, problems=[problem if folder.exists() else f"{name} is not installed"]))
        else:
            verdicts.append(verify(model, decode=decode, find_batch=find_batch, watch=watch))
    return verdicts


def verify(
    model: Installed, *, decode: Decode | None = None, find_batch: FindBatch | None = None, watch: Watch | None = None
) -> Verdict:
    """Compare every file with its checksum, then the metadata with the family; models for speech are tried out.

    Without ``decode`` nothing is tried out, nor with files that are wrong: those could take the child process along.
    ``find_batch`` is asked last, and its finding goes into the card.
    """
    verdict = Verdict(name=model.name, family=model.family, digest=model.digest)
    verdict.problems.extend(_wrong_files(model, watch or Watch()))
    if not verdict.problems:
        try:
            model.check()
        except WeightsError as error:
            verdict.problems.append(str(error))
    if decode is None or verdict.problems or FAMILIES[model.family].task != "speech":
        return verdict
    try:
        text = decode(model).strip()
    except DashscribeError as error:
        verdict.problems.append(f"the built-in utterance could not be transcribed: {error}")
        return verdict
    if not text:
        # Runtimes log what goes wrong in a decode and return nothing, which then looks like silence.
        (verdict.problems if "en" in model.languages else verdict.notes).append(
            "nothing was heard in the built-in utterance, which is English"
        )
    if text and find_batch:
        verdict.notes.append(_settle_batch(model, find_batch))
    return replace(verdict, text=text)


def _settle_batch(model: Installed, find_batch: FindBatch) -> str:
    """Put into the card how many pieces may be decoded at once; says what was found."""
    try:
        found = find_batch(model)
        if found is None:
            return "decodes one by one"
        provider, batch = found
        card = read_card(model.folder)  # as it is now: the same may have been found out for something else meanwhile
        if card.batches.get(provider) != batch:
            write_card(replace(card, batches={**card.batches, provider: batch}))
    except DashscribeError as error:
        return f"whether pieces may be decoded together was not found out, or not noted: {error}"
    where = "" if provider == "cpu" else f" on {provider}"
    if batch == 1:
        return f"decodes one by one{where}"
    return f"decodes {batch} pieces at once{where}, with the same results as one by one"


def _wrong_files(model: Installed, watch: Watch) -> Iterator[str]:
    """A line for each file that is missing, cannot be read, or is not what it was when the model was installed."""
    remedy = f"`dashscribe models rm {model.name}` and pull or add it again"
    paths = {name: model.folder / name for name in model.sums}
    total_bytes = sum(path.stat().st_size for path in paths.values() if path.is_file())
    done_bytes = 0

    def count(piece_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += piece_bytes
        watch.moved(f"checking {model.name}", done_bytes, total_bytes)

    for name in [name for name in model.files.values() if name not in paths]:
        yield f"{model.folder / name}: the card has no checksum of it; {remedy}"
    for name, path in paths.items():
        try:
            seen = checksum(path, count)
        except OSError as error:
            yield f"{path}: {error.strerror or error}; {remedy}"
            continue
        if seen != model.sums[name]:
            yield f"{path} has the SHA-256 {seen}, not {model.sums[name]} of {model.folder / CARD}; {remedy}"
