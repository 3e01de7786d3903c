"""What holds for every command: an example in its help that can be carried out, JSON where it shows something,
summaries that are whole, completion that shells can run, and a reference that is up to date."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dashscribe.cli import COMMANDS, app, load
from dashscribe.cli.pages import parted
from dashscribe.cli.reference import PAGE, reference

CHECKOUT = Path(__file__).resolve().parents[2]
#: Commands that show nothing: they run until they are told to end. ``asr`` has the flags of the cloud's helper script.
WITHOUT_JSON = {("serve",), ("worker",), ("asr",)}


def leaves() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that call it."""
    for name in COMMANDS:
        command = load(name)
        inner: dict[str, Any] = getattr(command, "commands", {})
        yield from (((name, below), leaf) for below, leaf in inner.items()) if inner else [((name,), command)]


PATHS = [(), *((name,) for name in COMMANDS), *(path for path, _ in leaves() if len(path) > 1)]
LEAVES = dict(leaves())


def page(path: tuple[str, ...], columns: int) -> str:
    result = CliRunner().invoke(app, [*path, "--help"], prog_name="dashscribe", terminal_width=columns)
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_page_has_an_example_that_can_be_copied(
    path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("recordings", "inbox"):
        (tmp_path / folder).mkdir()
    for columns in (40, 60, 80):
        _, _, below = page(path, columns).partition("\nExamples:\n")
        examples = [line.strip() for line in below.splitlines() if line.strip() and not line.strip().startswith("#")]
        assert examples
        for example in examples:
            assert re.fullmatch(r"(export \w+=\$\()?(\w+=\S+ )*dashscribe .*", example)
            if path:
                assert f"dashscribe {' '.join(path)}" in example
            understood(example)


def understood(example: str) -> None:
    """Have a command line read, without carrying it out: unknown options and missing arguments are errors."""
    words = shlex.split(re.sub(r"^export \w+=\$\((.*)\)$", r"\1", example))
    while "=" in words[0]:
        words.pop(0)
    name, *rest = words[1:]
    if name.startswith("-"):
        assert name in page((), 80)
        return
    command = load(name)
    if below := getattr(command, "commands", None):
        command, rest = below[rest[0]], rest[1:]
    with command.make_context(name, [word for word in rest if word not in (">",)][: _argument_end(rest)]):
        pass


def _argument_end(words: list[str]) -> int:
    """How many words come before the shell takes over."""
    return words.index(">") if ">" in words else len(words)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_pages_fit_and_cut_nothing_off(path: tuple[str, ...]) -> None:
    text, _, _ = page(path, 60).partition("\nExamples:\n")
    assert "..." not in text.replace("}...", "").replace("]...", "").replace("[ARGS]...", "").replace("sk-...", "")
    assert max(map(len, text.splitlines())) <= 62
    assert not re.search(r"<(str|int|float|path|list)[^>]*>", text)


def test_an_example_may_stand_anywhere_in_a_docstring() -> None:
    told = "Do it.\n\nMore of it. Example: dashscribe a\n    b\n\nExample, with b: dashscribe b\n\nExit 1: no."
    assert parted(told) == (
        "Do it.\n\nMore of it.\n\nExit 1: no.",
        [("", "dashscribe a b"), ("with b", "dashscribe b")],
    )
    assert parted("An Example of it.") == ("An Example of it.", [])


def test_every_command_that_shows_something_speaks_json() -> None:
    def options(command: Any) -> set[str]:
        return {option for parameter in command.params for option in parameter.opts}

    assert {path for path, leaf in LEAVES.items() if "--json" not in options(leaf)} == WITHOUT_JSON


#: Commands that work on this machine's database unless a server is named.
EITHER = {("keys", "create"), ("keys", "ls"), ("keys", "revoke")}


def test_every_command_about_a_server_names_it_in_the_same_way() -> None:
    helps = {"--base-url": set[str](), "--api-key": set[str](), "--base-url of either": set[str]()}
    for path, leaf in LEAVES.items():
        given = {option: parameter for parameter in leaf.params for option in parameter.opts}
        assert ("--base-url" in given) == ("--api-key" in given)
        for option in given.keys() & {"--base-url", "--api-key"}:
            if path[0] in ("tasks", "hotwords", "callbacks", "keys"):
                either = " of either" if tuple(path) in EITHER and option == "--base-url" else ""
                helps[option + either].add(given[option].help)
    assert {name: len(seen) for name, seen in helps.items()} == dict.fromkeys(helps, 1)


def test_the_reference_is_up_to_date() -> None:
    """``python -m dashscribe.cli.reference docs/reference/commands.md`` writes it anew."""
    assert (CHECKOUT / PAGE).read_text(encoding="utf-8") == reference()


# --- completion ------------------------------------------------------------------------------------------------------


def completed(shell: str, line: str, **more: str) -> str:
    """What the program offers a shell for a line that ends at the cursor."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [Path(sys.executable).with_name("dashscribe")],
        env=os.environ | asked | {"_DASHSCRIBE_COMPLETE": f"complete_{shell}"} | more,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("dashscribe tr", "transcribe", "tasks"),
        ("dashscribe tasks ", "cancel", "transcribe"),
        ("dashscribe tasks submit --par", "--parameter", "--wait"),
        ("dashscribe transcribe --model paraformer-v", "paraformer-v2", "fun-asr"),
        ("dashscribe transcribe -f txt,sr", "txt,srt", "txt,vtt"),
        ("dashscribe tasks submit --model sense", "sensevoice-v1", "fun-asr"),
        ("dashscribe tasks ls --status FA", "FAILED", "CANCELED"),
    ],
)
def test_commands_options_and_values_are_completed(shell: str, line: str, offered: str, not_offered: str) -> None:
    told = completed(shell, line)
    assert offered in told
    assert not_offered not in told


def installed(shell: str, home: Path) -> Path:
    """Install completion as a person does, from inside the shell, into a home of its own: the script."""
    program = Path(sys.executable).with_name("dashscribe")
    done = subprocess.run(
        [needs(shell), "-c", f"{program} --install-completion; exit"],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{shell} completion installed" in done.stdout, done.stdout + done.stderr
    return next(path for path in home.rglob("*dashscribe*") if path.is_file())


def needs(shell: str) -> str:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed (Debian: apt-get install {shell})")
    return program


def test_bash_completes_with_the_installed_script(tmp_path: Path) -> None:
    bash, script = needs("bash"), installed("bash", tmp_path)
    program = Path(sys.executable).parent
    code = (
        f"export PATH={program}:$PATH; source {script}; COMP_WORDS=(dashscribe hotw); COMP_CWORD=1; "
        'COMP_LINE="dashscribe hotw"; COMP_POINT=15; '
        "$(complete -p dashscribe | sed -E 's/.*-F ([^ ]+).*/\\1/') dashscribe hotw dashscribe; "
        'echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run([bash, "--norc", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["hotwords"]


def test_fish_completes_with_the_installed_script(tmp_path: Path) -> None:
    fish, script = needs("fish"), installed("fish", tmp_path)
    code = f"set PATH {Path(sys.executable).parent} $PATH; source {script}; complete -C 'dashscribe hotw'"
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([fish, "--no-config", "-c", code], capture_output=True, text=True, check=True, env=home)
    assert done.stdout.split("\t")[0].strip() == "hotwords"


def test_zsh_completes_with_the_installed_script(tmp_path: Path) -> None:
    zsh, script = needs("zsh"), installed("zsh", tmp_path)
    assert script.name == "_dashscribe"
    rows = f"""
        export PATH={Path(sys.executable).parent}:$PATH
        fpath=({script.parent} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump
        print "registered: ${{_comps[dashscribe]}}"
        words=(dashscribe hotw); CURRENT=2
        _arguments() {{ print "offered: $@" }}
        _describe() {{ print "offered: $@" }}
        _files() {{ print none }}
        source {script}
    """
    done = subprocess.run([zsh, "-f", "-c", rows], capture_output=True, text=True, check=False)
    assert "registered: _dashscribe" in done.stdout, done.stderr
    assert "hotwords" in completed("zsh", "dashscribe hotw")


def test_the_program_is_a_typer_application() -> None:
    """Completion is asked for by a variable that is made of the program's name."""
    assert isinstance(app, typer.Typer)
