"""Hearing recordings: ranges, signatures, what is played as it is, and copies for browsers; on both kinds of store."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlencode, urljoin, urlsplit

import av
import httpx
import numpy as np
import pytest
from review import RATE_HZ, encoded, recording, tone, wav
from sqlalchemy import update
from wire_servers import KEY, TAMPERED, Desk, assert_refused, checked

from dashscribe.db import tables, writing
from dashscribe.signed_urls import sound_query, sound_signature

ROOT = "/dashscribe/v1"
SOUND = wav(tone(4))


def url_of(desk: Desk, recording_id: str) -> str:
    """The URL of a sound as a page resolves it."""
    told = checked(desk.http.get(f"{ROOT}/recordings/{recording_id}/sound"))
    return urljoin(f"{ROOT}/recordings/{recording_id}", told["url"])


def play(desk: Desk, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    """Ask without any key, as players do."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return desk.http.request(method, url, headers={"Authorization": ""} | sent)


def ready(desk: Desk, url: str) -> httpx.Response:
    """The sound once it is made."""
    until = time.monotonic() + 60
    while (response := play(desk, url)).status_code == 503:
        assert int(response.headers["retry-after"]) >= 1
        assert_refused(response, 503, "NotReady", "It is being prepared")
        assert time.monotonic() < until
        time.sleep(0.05)
    return response


# --- bytes ------------------------------------------------------------------------------------------------------------


def test_a_sound_is_sent_as_it_is_stored(each_desk: Desk) -> None:
    response = play(each_desk, url_of(each_desk, recording(each_desk)))
    assert response.status_code == 200
    assert response.content == SOUND
    assert response.headers["content-type"] == "audio/wav"
    assert response.headers["accept-ranges"] == "bytes"
    assert response.headers["cache-control"] == "private, max-age=3600"


@pytest.mark.parametrize(
    ("wanted", "begin", "end"),
    [
        ("bytes=0-", 0, None),
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=100-99999999", 100, None),
        ("bytes=-100", -100, None),
        ("bytes=-99999999", 0, None),
        (f"bytes={len(SOUND) - 1}-", len(SOUND) - 1, None),
    ],
)
def test_a_range_is_that_range(each_desk: Desk, wanted: str, begin: int, end: int | None) -> None:
    url = url_of(each_desk, recording(each_desk))
    response = play(each_desk, url, Range=wanted)
    assert response.status_code == 206
    assert response.content == SOUND[begin:end]
    first = range(len(SOUND))[begin]
    assert response.headers["content-range"] == f"bytes {first}-{first + len(response.content) - 1}/{len(SOUND)}"
    assert response.headers["content-type"] == "audio/wav"
    head = play(each_desk, url, "HEAD", Range=wanted)
    assert (head.status_code, head.content) == (206, b"")
    assert head.headers["content-length"] == response.headers["content-length"]


@pytest.mark.parametrize("wanted", ["bytes=5-3", "bytes=x-", "bytes=", "bytes=-", "lines=0-3", "bytes=0-1,5-6", "0-3"])
def test_what_is_no_range_gets_the_whole(desk: Desk, wanted: str) -> None:
    response = play(desk, url_of(desk, recording(desk)), Range=wanted)
    assert (response.status_code, len(response.content)) == (200, len(SOUND))


@pytest.mark.parametrize("wanted", [f"bytes={len(SOUND)}-", "bytes=99999999-", "bytes=-0"])
def test_a_range_behind_the_end_is_refused_with_the_size(desk: Desk, wanted: str) -> None:
    response = play(desk, url_of(desk, recording(desk)), Range=wanted)
    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{len(SOUND)}"


def test_head_tells_size_and_type(desk: Desk) -> None:
    response = play(desk, url_of(desk, recording(desk)), "HEAD")
    assert (response.status_code, response.content) == (200, b"")
    assert (response.headers["content-length"], response.headers["content-type"]) == (str(len(SOUND)), "audio/wav")


def test_a_browser_that_has_it_is_told_so(desk: Desk) -> None:
    url = url_of(desk, recording(desk))
    tag = play(desk, url, "HEAD").headers["etag"]
    again = play(desk, url, If_None_Match=tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert play(desk, url, Range="bytes=0-1", If_Range=tag).status_code == 206
    assert play(desk, url, Range="bytes=0-1", If_Range='"another"').status_code == 200


def test_conditions_are_kept_that_are_not_of_ranges(desk: Desk) -> None:
    url = url_of(desk, recording(desk))
    whole = play(desk, url, "HEAD")
    tag, changed = whole.headers["etag"], whole.headers["last-modified"]
    for known in ("*", f'"x", {tag}', f"W/{tag}"):
        assert play(desk, url, If_None_Match=known).status_code == 304
    assert play(desk, url, If_None_Match='"x"', Range="bytes=0-1").status_code == 206
    assert play(desk, url, If_None_Match=tag, Range="bytes=0-1").status_code == 304
    refused = play(desk, url, If_Match='"x"', Range="bytes=0-1")
    assert (refused.status_code, refused.content, refused.headers["etag"]) == (412, b"", tag)
    assert play(desk, url, If_Match=f"W/{tag}").status_code == 412
    for wanted in ("*", f'"x", {tag}'):
        assert play(desk, url, If_Match=wanted, Range="bytes=0-1").status_code == 206
    assert play(desk, url, Range="bytes=0-1", If_Range=changed).status_code == 206
    assert play(desk, url, Range="bytes=0-1", If_Range=f"W/{tag}").status_code == 200


@pytest.mark.parametrize("container", ["wav", "mp3", "m4a", "flac"])
def test_who_saves_a_sound_gets_it_under_its_name_and_type(desk: Desk, container: str) -> None:
    codec, media_type = {
        "wav": ("pcm_s16le", "audio/wav"),
        "mp3": ("mp3", "audio/mpeg"),
        "m4a": ("aac", "audio/mp4"),
        "flac": ("flac", "audio/flac"),
    }[container]
    response = play(desk, url_of(desk, recording(desk, container=container, codec=codec)))
    assert response.headers["content-type"] == media_type
    name = f"filename*=UTF-8''Budget%20%E4%BC%9A.{container}"
    assert response.headers["content-disposition"] == f'inline; filename="Budget _.{container}"; {name}'


@pytest.mark.parametrize(
    ("title", "saved_as"),
    [
        ("Interview\r\nSet-Cookie: a=b", "Interview Set-Cookie a=b"),
        ('a"; filename="../../etc/passwd', "a ; filename= .. .. etc passwd"),
        ("<script>alert(1)</script>.html", "script alert(1) script .html"),
        ("会议%0d%0a", "会议%0d%0a"),
        ("nul", "_nul"),
        ("...", "recording"),
    ],
)
def test_no_title_becomes_another_header_or_another_type(desk: Desk, title: str, saved_as: str) -> None:
    one = recording(desk)
    with writing(desk.engine) as connection:
        connection.execute(update(tables.files).values(title=title))
    for status, headers in ((200, {}), (206, {"Range": "bytes=0-9"})):
        response = play(desk, url_of(desk, one), **headers)
        assert response.status_code == status
        told = response.headers["content-disposition"]
        assert told.isascii() and told.count('"') == 2 and "set-cookie" not in response.headers
        assert unquote(told.rpartition("UTF-8''")[2]) == f"{saved_as}.wav"
        assert response.headers["content-type"] == "audio/wav"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]


def test_others_are_told_of_no_sound(desk: Desk) -> None:
    other = desk.parts.keys.create("mallory")[1]
    assert other != KEY
    for path in ("sound", "peaks"):
        url = f"{ROOT}/recordings/{recording(desk)}/{path}"
        assert_refused(desk.http.get(url, headers={"Authorization": f"Bearer {other}"}), 404, "NotFound", "Not found!")


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", TAMPERED)
def test_a_url_that_was_changed_is_refused(desk: Desk, query: dict[str, str]) -> None:
    parts = urlsplit(url_of(desk, recording(desk)))
    members = {name: values[0] for name, values in parse_qs(parts.query).items()} | query
    response = play(desk, f"{parts.path}?{urlencode(members)}")
    assert_refused(response, 403, "AccessDenied", "Access denied.")


def test_the_signature_of_one_recording_opens_no_other(desk: Desk) -> None:
    first, second = recording(desk), recording(desk)
    query = urlsplit(url_of(desk, first)).query
    assert play(desk, f"{ROOT}/sound/{second}?{query}").status_code == 403
    assert play(desk, f"{ROOT}/sound/{first[:-1]}1?{query}").status_code == 403
    assert play(desk, f"{ROOT}/sound/{first}?{query}").status_code == 200


def test_an_expired_url_is_refused(desk: Desk) -> None:
    one = recording(desk)
    expires = int(time.time()) - 1
    signature = sound_signature(desk.parts.secret, one.partition(".")[0], 0, expires)
    response = play(desk, f"{ROOT}/sound/{one}?{urlencode({'Expires': expires, 'Signature': signature})}")
    assert "expired" in assert_refused(response, 403, "AccessDenied", "Access denied.")["message"]


def test_a_url_stays_the_same_within_an_hour_and_is_good_for_twelve() -> None:
    begin = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
    queries = [sound_query("secret", "task", 0, begin + timedelta(minutes=minutes)) for minutes in (0, 30, 59, 60)]
    assert queries[0] == queries[1] == queries[2] != queries[3]
    expires = int(parse_qs(queries[2])["Expires"][0])
    assert expires - (begin + timedelta(minutes=59)).timestamp() >= 12 * 3600


def test_a_recording_that_is_gone_is_gone_whatever_the_url_says(desk: Desk) -> None:
    one = recording(desk)
    url = url_of(desk, one)
    desk.parts.store.delete(f"tasks/{one.partition('.')[0]}/0/source-1")
    assert_refused(play(desk, url), 404, "NotFound", "Not found!")
    with writing(desk.engine) as connection:
        connection.execute(update(tables.files).values(hidden=True))
    assert_refused(play(desk, url), 404, "NotFound", "Not found!")
    assert_refused(desk.http.get(f"{ROOT}/recordings/{one}/sound"), 404, "NotFound", "Not found!")


# --- copies -----------------------------------------------------------------------------------------------------------


def decoded(data: bytes) -> np.ndarray:
    with av.open(io.BytesIO(data)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)


def begins_s(samples: np.ndarray) -> float:
    """Where the first burst begins."""
    loud = np.abs(samples[0].astype(np.float64))
    return float(np.argmax(loud > loud.max() / 4)) / RATE_HZ


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_what_not_every_browser_plays_is_copied_once_on_the_same_clock(each_desk: Desk, channels: int) -> None:
    source = encoded(tone(4, channels), "ogg", "libopus") if channels < 3 else wav(tone(4, channels))
    about = {"container": "ogg", "codec": "opus"} if channels < 3 else {}
    one = recording(each_desk, source=source, url="https://a.example/a.ogg", channel_count=channels, **about)
    path = f"{ROOT}/recordings/{one}/sound"
    told = checked(each_desk.http.get(path))
    assert (told["ready"], told["type"]) == (False, "audio/mpeg")
    url = urljoin(f"{ROOT}/recordings/{one}", told["url"])
    response = ready(each_desk, url)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "audio/mpeg"
    assert checked(each_desk.http.get(path))["ready"]
    samples = decoded(response.content)
    assert len(samples) == {1: 1, 2: 2, 3: 1}[channels]  # more than two are mixed
    assert samples.shape[1] / RATE_HZ == pytest.approx(4, abs=0.15)
    assert begins_s(samples) == pytest.approx(0.25, abs=0.01)
    assert play(each_desk, url, Range="bytes=0-99").content == response.content[:100]


def test_every_second_of_a_copy_has_as_many_bytes(desk: Desk) -> None:
    one = recording(desk, source=encoded(tone(8), "ogg", "libopus"), container="ogg", codec="opus", duration_ms=8000)
    data = ready(desk, url_of(desk, one)).content
    assert data[:2] == b"\xff\xf3", "it begins with a frame: no tag shifts the bytes"
    frames = [at for at in range(0, len(data) - 216, 216) if data[at : at + 2] != b"\xff\xf3"]
    assert frames == []


def test_a_copy_that_cannot_be_made_says_why_and_is_not_tried_all_the_time(desk: Desk) -> None:
    one = recording(desk, source=b"no sound at all", container="ogg", codec="opus")
    url = url_of(desk, one)
    assert_refused(ready(desk, url), 400, "DECODE_ERROR", "The audio file cannot be decoded.")
    told = checked(desk.http.get(f"{ROOT}/recordings/{one}/sound"))
    assert (told["ready"], "damaged" in told["message"]) == (False, True)


def test_a_copy_that_the_store_does_not_take_is_a_failure_and_no_wait_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = recording(desk, source=encoded(tone(1), "ogg", "libopus"), container="ogg", codec="opus")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(desk.parts.store), "put", full)
    response = ready(desk, url_of(desk, one))
    assert (response.status_code, checked(response)["code"]) == (500, "InternalError")


@pytest.mark.parametrize(
    ("bit_rate", "as_it_is"), [({"b": "64000"}, True), ({"global_quality": "590", "flags": "+qscale"}, False)]
)
def test_mp3_of_a_varying_bit_rate_is_copied(
    desk: Desk, tmp_path: Path, bit_rate: dict[str, str], as_it_is: bool
) -> None:
    path = tmp_path / "a.mp3"  # a file: the header that tells is written last
    with av.open(str(path), "w", format="mp3") as file:
        stream = file.add_stream("libmp3lame", rate=RATE_HZ, layout="mono", options=bit_rate)
        frame = av.AudioFrame.from_ndarray(tone(4), format="s16p", layout="mono")
        frame.sample_rate = RATE_HZ
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    one = recording(desk, source=path.read_bytes(), container="mp3", codec="mp3")
    response = ready(desk, url_of(desk, one))
    assert response.status_code == 200
    assert (response.content == path.read_bytes()) == as_it_is


@pytest.mark.parametrize(
    "about",
    [
        {"container": "matroska", "codec": "opus"},
        {"container": "mov", "codec": "aac"},
        {"container": "wav", "codec": "pcm_mulaw"},
        {"rate_hz": 96_000},
        {"channel_count": 3},
    ],
)
def test_what_is_played_somewhere_only_is_not_sent_as_it_is(desk: Desk, about: dict[str, object]) -> None:
    told = checked(desk.http.get(f"{ROOT}/recordings/{recording(desk, **about)}/sound"))
    assert (told["ready"], told["type"]) == (False, "audio/mpeg")


# --- peaks ------------------------------------------------------------------------------------------------------------


def test_peaks_are_numbers_by_channel(each_desk: Desk) -> None:
    told = checked(each_desk.http.get(f"{ROOT}/recordings/{recording(each_desk)}/peaks"))
    assert (told["rate_hz"], told["begin_ms"]) == (20, 0)
    assert (told["channel_numbers"], told["channels"]) == ([0], [[0, 64, 127]])


def test_a_recording_without_peaks_says_so(desk: Desk) -> None:
    one = recording(desk)
    desk.parts.store.delete(f"tasks/{one.partition('.')[0]}/0/peaks.msgpack")
    response = desk.http.get(f"{ROOT}/recordings/{one}/peaks")
    assert "There are no peaks" in assert_refused(response, 404, "NotFound", "Not found!")["message"]
