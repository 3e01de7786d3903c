"""The reader of forms: good ones however they are cut, broken ones refused, every bound held."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from dashscribe.errors import DashscribeError, InvalidBodyError, NoRoomError, TooLargeError
from dashscribe.wire.form import Form, read_form

TYPE = "multipart/form-data; boundary=edge"


def form(body: bytes, folder: Path, *, kind: str = TYPE, cut: int = 7, more: Iterable[str] = (), **bounds: Any) -> Form:
    """Read a body that arrives in pieces of ``cut`` bytes."""
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)] or [b""]
    sent = iter(enumerate(pieces, start=1))

    async def receive() -> dict[str, object]:
        number, piece = next(sent)
        return {"type": "http.request", "body": piece, "more_body": number < len(pieces)}

    headers = [(b"content-type", kind.encode()), *((b"content-length", value.encode()) for value in more)]
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)
    return asyncio.run(read_form(request, folder, **{"max_file_bytes": 1000, **bounds}))


def part(name: str, value: bytes, *headers: str) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    return "\r\n".join(["--edge", disposition + (headers[0] if headers else ""), *headers[1:], "", ""]).encode() + value


def whole(*parts: bytes) -> bytes:
    return b"".join(p + b"\r\n" for p in parts) + b"--edge--\r\n"


GOOD = whole(
    part("model", b"whisper-1"),
    part("file", b"RIFF\r\n--edg\r\n--e\0\xff", '; filename="a b.wav"', "Content-Type: audio/wav"),
    part("include[]", b"logprobs"),
    part("include[]", "größer".encode()),
)


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 17, 64, 10_000])
def test_a_form_reads_the_same_however_it_is_cut(cut: int, tmp_path: Path):
    read = form(GOOD, tmp_path, cut=cut)
    assert read.fields == [("model", "whisper-1"), ("include[]", "logprobs"), ("include[]", "größer")]
    assert read.get("model") == "whisper-1"
    assert read.get("prompt", "none") == "none"
    assert read.all("include[]") == ["logprobs", "größer"]
    file = read.files["file"]
    assert file.path.read_bytes() == b"RIFF\r\n--edg\r\n--e\0\xff"
    assert (file.name, file.content_type, file.size_bytes) == ("a b.wav", "audio/wav", 18)


def test_what_a_client_library_sends_arrives(tmp_path: Path):
    sent = httpx.Request(
        "POST", "http://x/", data={"a": ["1", "2"], "b": "ü"}, files={"file": ("词.mp3", b"x" * 900, "audio/mpeg")}
    )
    read = form(sent.read(), tmp_path, kind=sent.headers["content-type"], cut=100)
    assert read.fields == [("a", "1"), ("a", "2"), ("b", "ü")]
    assert (read.files["file"].name, read.files["file"].size_bytes) == ("词.mp3", 900)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("; filename*=utf-8''%E4%BC%9A%E8%AE%AE.wav", "会议.wav"),
        ("; filename*=UTF-8'en'a.wav", "a.wav"),
        ("; filename=\"_.wav\"; filename*=utf-8''%E4%BC%9A.wav", "_.wav"),
    ],
)
def test_a_file_may_have_its_name_in_the_extended_form_only(tmp_path: Path, given: str, name: str):
    file = form(whole(part("file", b"\xff\xfe", given)), tmp_path).files["file"]
    assert (file.name, file.path.read_bytes()) == (name, b"\xff\xfe")


def test_a_file_name_never_leads_out_of_the_folder(tmp_path: Path):
    folder = tmp_path / "inner"
    folder.mkdir()
    read = form(whole(part("file", b"x", '; filename="../../etc/passwd"')), folder)
    assert read.files["file"].path.parent == folder
    assert [path.parent for path in tmp_path.rglob("*") if path.is_file()] == [folder]


def test_an_empty_form_has_nothing(tmp_path: Path):
    assert form(b"--edge--\r\n", tmp_path) == Form()


def test_a_file_may_have_exactly_its_bound(tmp_path: Path):
    body = whole(part("file", b"x" * 1000, '; filename="a"'))
    assert form(body, tmp_path).files["file"].size_bytes == 1000
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(TooLargeError, match="999 bytes"):
        form(body, other, max_file_bytes=999)


def test_several_files_share_the_bound(tmp_path: Path):
    with pytest.raises(TooLargeError):
        form(whole(part("a", b"x" * 600, '; filename="a"'), part("b", b"x" * 600, '; filename="b"')), tmp_path)


def test_a_long_field_is_too_large(tmp_path: Path):
    with pytest.raises(TooLargeError, match="'prompt' has more than 10 bytes"):
        form(whole(part("prompt", b"x" * 11)), tmp_path, max_field_bytes=10)


def test_too_many_fields_are_refused(tmp_path: Path):
    with pytest.raises(InvalidBodyError, match="more than 3 fields"):
        form(whole(*(part("a", b"1") for _ in range(4))), tmp_path, max_fields=3)


def test_an_announced_length_beyond_all_bounds_is_refused_at_once(tmp_path: Path):
    with pytest.raises(TooLargeError, match="99999999999"):
        form(b"", tmp_path, more=["99999999999"])


def test_an_epilogue_without_end_is_too_large(tmp_path: Path):
    with pytest.raises(TooLargeError):
        form(whole(part("a", b"1")) + b"x" * 9_000_000, tmp_path, cut=100_000, max_fields=2)


def test_a_disk_that_fills_up_ends_the_reading(tmp_path: Path):
    room = iter([None, None])

    def check_room() -> None:
        if next(room, "none") == "none":
            raise NoRoomError

    other = tmp_path / "other"
    other.mkdir()
    body = whole(part("file", b"x" * 5_000_000, '; filename="a"'))
    with pytest.raises(NoRoomError):
        form(body, tmp_path, cut=100_000, max_file_bytes=10_000_000, check_room=check_room)
    assert form(body, other, cut=100_000, max_file_bytes=10_000_000).files["file"].size_bytes == 5_000_000


def test_fields_are_bounded_together(tmp_path: Path):
    fields = (part(f"a{number}", b"x" * 1_000_000) for number in range(9))
    with pytest.raises(TooLargeError, match="together"):
        form(whole(*fields), tmp_path, cut=100_000, max_field_bytes=1_000_000)


BROKEN = {
    "nothing": b"",
    "no boundary": b"hello",
    "another boundary": GOOD.replace(b"--edge", b"--rand"),
    "cut in a header": GOOD[:20],
    "cut in a file": GOOD[:200],
    "cut before the last dash": GOOD[:-3],
    "line feeds only": GOOD.replace(b"\r\n", b"\n"),
    "no disposition": whole(b"--edge\r\nContent-Type: text/plain\r\n\r\nx"),
    "no headers": whole(b"--edge\r\n\r\nx"),
    "attachment": whole(b'--edge\r\nContent-Disposition: attachment; name="a"\r\n\r\nx'),
    "no name": whole(b'--edge\r\nContent-Disposition: form-data; filename="a"\r\n\r\nx'),
    "header without colon": whole(b"--edge\r\nContent-Disposition form-data\r\n\r\nx"),
    "endless header": whole(b"--edge\r\nX: " + b"y" * 100_000 + b"\r\n\r\nx"),
    "many headers": whole(b"--edge\r\n" + b"X: y\r\n" * 5_000 + b"\r\nx"),
    "name in latin-1": whole(b'--edge\r\nContent-Disposition: form-data; name="gr\xf6"\r\n\r\nx'),
    "value in latin-1": whole(part("a", b"gr\xf6")),
    "nul in a value": whole(part("a", b"x\0y")),
    "two files of a name": whole(part("f", b"1", '; filename="a"'), part("f", b"2", '; filename="b"')),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_broken_form_is_refused_with_a_reason(body: bytes, tmp_path: Path):
    with pytest.raises(InvalidBodyError) as refused:
        form(body, tmp_path, cut=50, max_file_bytes=1_000_000)
    assert refused.value.detail


@pytest.mark.parametrize(
    "kind",
    [
        *("", "application/json", "multipart/mixed; boundary=edge", "multipart/form-data", "multipart/form-data;"),
        *("multipart/form-data; boundary=", 'multipart/form-data; boundary=""', "multipart/form-data; boundary*=edge"),
        "multipart/form-data; boundary=" + "x" * 1000,
    ],
)
def test_a_body_of_another_kind_is_refused(kind: str, tmp_path: Path):
    with pytest.raises(InvalidBodyError):
        form(GOOD, tmp_path, kind=kind)


@settings(max_examples=150)
@given(data=st.data())
def test_any_damage_gives_a_form_or_a_refusal(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory):
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body)))
        until = data.draw(st.integers(at, min(at + 20, len(body))))
        body[at:until] = data.draw(st.sampled_from([b"", b"\r\n", b"--edge", b"--edge--", b";", b'"', b"\0", b"\xff"]))
    try:
        read = form(bytes(body), tmp_path_factory.mktemp("form"), cut=data.draw(st.integers(1, 50)))
    except DashscribeError as refused:
        assert refused.status == 400
    else:
        assert all(file.path.is_file() for file in read.files.values())
