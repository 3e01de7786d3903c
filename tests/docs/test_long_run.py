"""The long run has in full whatever the suite takes a part of."""

import re

import soak

#: What marks a test whose examples are drawn, or that is shorter in the suite.
DRAWN = re.compile(r"^ *@given\(|\bsize\(\d", re.MULTILINE)


def test_long_run_has_every_test_with_drawn_examples_in_full() -> None:
    files = {str(path.relative_to(soak.CHECKOUT)): path for path in (soak.CHECKOUT / "tests").glob("*/test_*.py")}
    drawn = {name for name, path in files.items() if DRAWN.search(path.read_text(encoding="utf-8"))}
    assert len(drawn) > 20
    in_full = {file for part in soak.PARTS if part.variables for file in part.command}
    assert drawn - in_full == set()


def test_every_file_of_the_long_run_is_there() -> None:
    named = [word for part in soak.PARTS for word in part.command if word.endswith(".py")]
    assert [name for name in named if not (soak.CHECKOUT / name).is_file()] == []
