"""The pages as files: served to everybody, cached by their content, from nowhere else; texts in both languages."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from wire_servers import Desk, assert_refused

import dashscribe.wire.pages

PAGES = Path(dashscribe.wire.pages.__file__).with_name("pages")
SCRIPTS = sorted((PAGES / "js").rglob("*.js"))
AREAS = sorted(path.name.split(".")[0] for path in (PAGES / "locales").glob("*.en.js"))
NO_KEY = {"Authorization": ""}


def texts(area: str, language: str) -> dict[str, str]:
    """The texts of an area by key, each as it is written in the file."""
    written = (PAGES / f"locales/{area}.{language}.js").read_text()
    return dict(re.findall(r'^  "([^"]+)": (\{\n(?:    .*\n)+  \}|.*),$', written, re.MULTILINE))


def test_frame_needs_no_key_and_lets_nothing_foreign_run(desk: Desk):
    frame = desk.http.get("/", headers=NO_KEY)
    assert frame.status_code == 200
    assert frame.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in frame.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["media-src"] == "'self' blob:"
    assert policy["frame-ancestors"] == "'none'"
    assert "<style" not in frame.text
    assert not re.findall(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|javascript:", frame.text)


def test_every_file_that_the_frame_names_is_served(desk: Desk):
    named = re.findall(r'(?:src|href)="([^"]+)"', desk.http.get("/", headers=NO_KEY).text)
    assert len(named) > 10
    for path in named:
        assert not path.startswith(("/", "http")), "addresses are relative, since a proxy may add to the path"
        assert desk.http.get(f"/{path}", headers=NO_KEY).status_code == 200, path


def test_browsers_keep_files_and_ask_whether_they_still_hold(desk: Desk):
    path = "/pages/js/main.js"
    first = desk.http.get(path, headers=NO_KEY | {"accept-encoding": "identity"})
    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.content == (PAGES / "js/main.js").read_bytes()
    small = desk.http.get(path, headers=NO_KEY | {"accept-encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(first.content)
    assert small.content == first.content
    again = desk.http.get(path, headers=NO_KEY | {"if-none-match": f'"other", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    other = desk.http.get(path, headers=NO_KEY | {"if-none-match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    "path", ["nope.js", "../pages.py", "%2e%2e/pages.py", "", "js", "README.md", "vendor/checksums.json"]
)
def test_nothing_else_is_served(desk: Desk, path: str):
    assert_refused(desk.http.get(f"/pages/{path}"), 404, "NotFound", "Not found!")


def test_libraries_are_those_that_were_vendored():
    sums = json.loads((PAGES / "vendor/checksums.json").read_text())
    lying = {path.name for path in (PAGES / "vendor").iterdir()} - {"checksums.json"}
    assert lying == set(sums)
    for name, told in sums.items():
        assert hashlib.sha256((PAGES / "vendor" / name).read_bytes()).hexdigest() == told, name
        assert not name.endswith(".js") or re.match(r"/\* \S+ \d\S+, \S+ \*/", (PAGES / "vendor" / name).read_text())


@pytest.mark.parametrize("path", [*SCRIPTS, *sorted((PAGES / "css").glob("*.css"))], ids=lambda path: path.name)
def test_our_own_files_load_nothing_from_elsewhere(path: Path):
    written = re.sub(r"https://example\.com/\S*|http://www\.w3\.org/\S*", "", path.read_text())
    assert not re.findall(r"https?://|(?:import|url)\(\s*[\"']?//|dangerouslySetInnerHTML|innerHTML|\beval\(", written)


def test_every_import_leads_to_a_file():
    for path in [*SCRIPTS, *(PAGES / "locales").glob("*.js")]:
        for named in re.findall(r'(?:from |import |import\()"(\.[^"]+)"', path.read_text()):
            assert (path.parent / named).is_file(), f"{path.name} imports {named}"


@pytest.mark.parametrize("area", AREAS)
def test_both_languages_have_the_same_texts(area: str):
    english, chinese = texts(area, "en"), texts(area, "zh")
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", chinese[key])), key


def test_every_text_that_is_asked_for_exists():
    known = {key for area in AREAS for key in texts(area, "en")}
    asked = {key for path in SCRIPTS for key in re.findall(r'\bt\("([\w.]+)"', path.read_text())}
    assert len(asked) > 100
    assert asked <= known, sorted(asked - known)


def test_every_text_is_asked_for():
    code = "\n".join(path.read_text() for path in SCRIPTS)
    keys = {key for area in AREAS for key in texts(area, "en")}
    written = set(re.findall(r'"([\w.-]+)"', code))
    areas = "|".join({key.split(".")[0] for key in keys})
    # Keys that are put together: `status.${status}`, "review.event." and what comes behind it.
    made = [re.escape(begin) + r"[\w-]+" for begin in re.findall(rf'"((?:{areas})\.[\w.]*\.)"', code)]
    for template in re.findall(rf"`((?:{areas})\.[^`\s]*\$\{{[^`\s]*)`", code):
        made.append(r"[\w-]+".join(map(re.escape, re.split(r"\$\{[^}]*\}", template))))
    unused = {key for key in keys - written if not any(re.fullmatch(pattern, key) for pattern in made)}
    assert not unused


def test_every_export_is_imported():
    scripts = {path: path.read_text() for path in SCRIPTS}
    # Also what is loaded only once it is needed: import("…").then(({ forgetAll }) => …).
    lists = re.findall(r"(?:import|then\(\() ?\{([^}]*)\}", "\n".join(scripts.values()))
    imported = {name for listed in lists for name in re.findall(r"\w+", listed)}
    unused: list[str] = []
    for path, code in scripts.items():
        names = re.findall(r"^export (?:async )?(?:const|function|class) (\w+)", code, re.MULTILINE)
        for listed in re.findall(r"^export \{([^}]*)\}", code, re.MULTILINE):
            names += re.findall(r"\w+", listed)
        unused += [f"{path.name}: {name}" for name in names if name not in imported]
    assert not unused


def test_every_drawing_is_shown():
    code = "\n".join(path.read_text() for path in SCRIPTS)
    drawn = set(re.findall(r'^  (\w+): "[mM]', (PAGES / "js/components/icons.js").read_text(), re.MULTILINE))
    assert len(drawn) > 20
    # Where a drawing is named: icon="x", icon: "x", name="x", and any of those with several to choose from.
    places = re.findall(r"(?:\bicon|\bname)(?:=|: )(\$\{[^>]*?\}(?=[ />])|\"\w+\")", code)
    shown = {name for place in places for name in re.findall(r'"(\w+)"', place)}
    shown |= set(re.findall(r'"(\w+)"', (PAGES / "js/components/states.js").read_text()))
    assert not drawn - shown
