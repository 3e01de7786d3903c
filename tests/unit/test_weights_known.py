"""The table of models that can be pulled, and where a mirror has them."""

import dataclasses

import pytest

from dashscribe.errors import WeightsError
from dashscribe.weights.families import FAMILIES
from dashscribe.weights.known import KNOWN, MIT, Known, Origin, find_known, from_url, known_by_file, mirrored, shown
from dashscribe.weights.shelf import RESERVED, check_name


@pytest.mark.parametrize("known", KNOWN.values(), ids=KNOWN)
def test_row_is_complete(known: Known) -> None:
    assert check_name(known.name) == known.name
    assert known.family in FAMILIES
    assert known.origins[0].base.startswith("https://github.com/"), "a release first"
    assert all(url.startswith("https://") and url.count("//") == 1 for origin in known.origins for url in origin.urls)
    assert known.size_bytes > 0
    assert known.license.name and known.license.url.startswith("https://")
    languages = FAMILIES[known.family].languages
    assert not languages or set(known.languages or languages) <= set(languages)


def test_short_names_and_public_names_are_found() -> None:
    assert find_known("sensevoice").name == "sensevoice"
    assert find_known("fun-asr", {"fun-asr": "funasr-nano"}).name == "funasr-nano"
    with pytest.raises(WeightsError, match=r"no model is known as 'fun-asr'; known are sensevoice.*--url.*models add"):
        find_known("fun-asr", {"other": "sensevoice"})
    with pytest.raises(WeightsError, match="no model is known as 'x'"):
        find_known("x", {"x": "gone"})


def test_mirror_has_the_files_of_the_first_origin() -> None:
    known = KNOWN["sensevoice"]
    archive = known.origins[0].files[0]
    assert mirrored(known, []) == known.origins
    assert [origin.urls for origin in mirrored(known, ["http://a/m/", "https://b"])] == [
        (f"http://a/m/{archive}",),
        (f"https://b/{archive}",),
    ]
    assert mirrored(known, ["http://a", "origins"])[1:] == known.origins
    several = dataclasses.replace(known, origins=(Origin("https://x/y", ("a.onnx", "tokenizer/b.json")),))
    assert mirrored(several, ["http://a/"])[0].urls == (
        "http://a/sensevoice/a.onnx",
        "http://a/sensevoice/tokenizer/b.json",
    )
    with pytest.raises(WeightsError, match=r"mirror 'ftp://a'.*http\(s\)"):
        mirrored(known, ["ftp://a"])


def test_url_of_a_file_is_an_origin() -> None:
    known = from_url("mine", "http://a:8000/b/c.tar.bz2?sig=1")
    assert known.origins[0].urls == ("http://a:8000/b/c.tar.bz2?sig=1",)
    assert (known.family, known.license.accept) == ("", True)
    same = from_url("silero-vad", "http://a/x.onnx")
    assert (same.family, same.license) == ("silero-vad", MIT)


@pytest.mark.parametrize(
    "url",
    ["", "a.tar.bz2", "/tmp/a.tar.bz2", "file:///a.tar", "http://", "http://a", "http://a/", "http://a/..", "ftp://a/b",
     "http://a/b/%2e%2e", "http://a/b/x%2F..%2Fy", "http://a/b/.hidden"],
)  # fmt: skip
def test_what_is_no_url_of_a_file_is_refused(url: str) -> None:
    with pytest.raises(WeightsError, match=r"no URL of a model.*models add"):
        Origin.at(url)


def test_secrets_of_a_url_are_not_shown() -> None:
    assert shown("https://me:pw@a:8/b/c?sig=1#x") == "https://a:8/b/c"
    origin = Origin.at("https://me:pw@a/b/c.onnx?token=1")
    assert (origin.source, origin.host) == ("https://a/b/c.onnx", "a")


def test_archive_of_a_row_is_known_by_its_name() -> None:
    found = known_by_file("sherpa-onnx-whisper-small.tar.bz2")
    assert found and found.name == "whisper-small"
    assert known_by_file("other.tar.bz2") is None


@pytest.mark.parametrize("name", [*sorted(RESERVED), "OpenAI", "", ".hidden", "a/b", "..", "-x", "a b", "ä", "x" * 101])
def test_names_that_no_model_may_have(name: str) -> None:
    with pytest.raises(WeightsError):
        check_name(name)
