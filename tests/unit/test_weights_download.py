"""One file from a server that misbehaves: what arrives is whole, what is there already is not asked for again."""

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from weight_files import Mirror, answer, serving

from dashscribe.errors import WeightsError
from dashscribe.weights import download as module
from dashscribe.weights import room as room_module
from dashscribe.weights.download import download, open_client
from dashscribe.weights.room import NoRoomLeftError, Room

BODY = random.Random(7).randbytes(3_000_000)
SUM = hashlib.sha256(BODY).hexdigest()
Get = Callable[..., str]


pytestmark = pytest.mark.usefixtures("no_proxy")


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "parts" / "model"


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def get(mirror: Mirror, part: Path, pauses: list[float], tmp_path: Path) -> Get:
    def run(path: str = "/m", **options: Any) -> str:
        options = {"room": Room(tmp_path, 0), "sleep": pauses.append, **options}
        with open_client() as client:
            return download(client, mirror.url + path, part, **options)

    return run


def test_file_arrives_whole_with_its_checksum(mirror: Mirror, get: Get, part: Path) -> None:
    mirror.paths["/m"] = serving(BODY)
    seen: list[tuple[int, int | None]] = []
    assert get(on_bytes=lambda done, total: seen.append((done, total))) == SUM
    assert part.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_broken_download_goes_on_where_it_was(mirror: Mirror, get: Get, part: Path) -> None:
    mirror.paths["/m"] = serving(BODY, cuts=[1_000_000, 50, 700_000])
    assert get() == SUM
    assert part.read_bytes() == BODY
    assert mirror.ranges("/m") == ["", "bytes=1000000-", "bytes=1000050-", "bytes=1700050-"]


def test_another_process_goes_on_where_one_stopped(mirror: Mirror, get: Get, part: Path) -> None:
    mirror.paths["/m"] = serving(BODY, cuts=[1_200_000] + [0] * module.TRIES)
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1"):
        get()
    assert part.stat().st_size == 1_200_000
    mirror.paths["/m"] = serving(BODY)
    mirror.seen.clear()
    assert get() == SUM
    assert mirror.ranges("/m") == ["bytes=1200000-"]


def test_finished_part_asks_for_nothing(mirror: Mirror, get: Get) -> None:
    mirror.paths["/m"] = serving(BODY)
    get()
    mirror.seen.clear()
    assert get() == SUM
    assert mirror.seen == []


def test_part_of_another_url_is_not_gone_on_with(mirror: Mirror, get: Get, part: Path) -> None:
    mirror.paths["/m"] = serving(BODY)
    get()
    mirror.paths["/n"] = serving(BODY[::-1], etag='"n"')
    assert get("/n") == hashlib.sha256(BODY[::-1]).hexdigest()
    assert mirror.ranges("/n") == [""]


def test_file_that_changes_in_between_begins_anew(mirror: Mirror, get: Get, part: Path) -> None:
    new = BODY[::-1]
    first = serving(BODY, cuts=[1_000_000])

    def handle(handler: Any) -> None:
        (first if len(mirror.seen) == 1 else serving(new, etag='"v2"'))(handler)

    mirror.paths["/m"] = handle
    assert get() == hashlib.sha256(new).hexdigest()
    assert part.read_bytes() == new


@pytest.mark.parametrize("etag", ['"v1"', 'W/"weak"', '"v\xe9"', ""])
def test_server_that_ignores_ranges_or_tells_no_validator_begins_anew(
    mirror: Mirror, get: Get, part: Path, etag: str
) -> None:
    mirror.paths["/m"] = serving(BODY, cuts=[1_000_000, 10], ranges=False, etag=etag)
    assert get() == SUM
    assert part.read_bytes() == BODY
    assert mirror.ranges("/m")[1:] == ["bytes=1000000-" if etag == '"v1"' else ""] + (
        ["bytes=10-"] if etag == '"v1"' else [""]
    )


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {"Content-Range": "bytes 5-2999999/3000000", "ETag": '"v1"'}),
        (206, {"Content-Range": "bytes 1000000-2999999/3000001", "ETag": '"v1"'}),
        (206, {"Content-Range": "bytes 1000000-2999999/3000000", "ETag": '"v2"'}),
        (206, {"Content-Range": f"bytes {'1' * 5000}-2/3", "ETag": '"v1"'}),
        (206, {"ETag": '"v1"'}),
        (416, {}),
    ],
)
def test_wrong_range_is_not_mixed_in(
    mirror: Mirror, get: Get, part: Path, status: int, headers: dict[str, str]
) -> None:
    first = serving(BODY, cuts=[1_000_000])

    def handle(handler: Any) -> None:
        if len(mirror.seen) == 2:
            answer(handler, status, headers, b"x" * 100)
        else:
            first(handler)

    mirror.paths["/m"] = handle
    assert get() == SUM
    assert part.read_bytes() == BODY
    assert mirror.ranges("/m") == ["", "bytes=1000000-", ""]


def test_body_of_unknown_length_arrives(mirror: Mirror, get: Get, part: Path) -> None:
    def chunked(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))

    mirror.paths["/m"] = chunked
    assert get() == SUM


def test_archive_that_is_sent_as_encoded_content_stays_as_it_is(mirror: Mirror, get: Get) -> None:
    """Some servers say of a .tar.gz that it is gzip-encoded; undone, it would not be the file any more."""
    mirror.paths["/m"] = lambda handler: answer(handler, 200, {"Content-Encoding": "gzip"}, BODY)
    assert get() == SUM


def test_server_error_is_tried_again_after_the_pause_it_asks_for(mirror: Mirror, get: Get, pauses: list[float]) -> None:
    def handle(handler: Any) -> None:
        answer(handler, 503, {"Retry-After": "7"}) if len(mirror.seen) == 1 else serving(BODY)(handler)

    mirror.paths["/m"] = handle
    assert get() == SUM
    assert pauses == [7.0]


def test_missing_file_is_told_at_once(mirror: Mirror, get: Get) -> None:
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1 answered 404 Not Found"):
        get()
    assert len(mirror.seen) == 1


def test_tries_end(mirror: Mirror, get: Get, pauses: list[float]) -> None:
    mirror.paths["/m"] = lambda handler: answer(handler, 500)
    with pytest.raises(WeightsError, match="answered 500"):
        get()
    assert len(mirror.seen) == module.TRIES
    assert len(pauses) == module.TRIES - 1


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Log in</title>", b"\n  <html lang='en'>"])
def test_web_page_is_no_model(mirror: Mirror, get: Get, part: Path, page: bytes) -> None:
    mirror.paths["/m"] = lambda handler: answer(handler, 200, {}, page)
    with pytest.raises(WeightsError, match="sent a web page instead of a model"):
        get()
    assert part.stat().st_size == 0


def test_redirect_is_followed_with_its_range(mirror: Mirror, get: Get) -> None:
    mirror.paths["/m"] = lambda handler: answer(handler, 302, {"Location": "/real?signature=1"})
    mirror.paths["/real"] = serving(BODY, cuts=[1_000_000])
    assert get() == SUM
    assert mirror.ranges("/real") == ["", "bytes=1000000-"]


def test_disk_that_is_too_small_is_told_before_anything_is_downloaded(
    mirror: Mirror, get: Get, part: Path, tmp_path: Path
) -> None:
    mirror.paths["/m"] = serving(BODY)
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(NoRoomLeftError, match=r"DASHSCRIBE_DISK_RESERVE_BYTES.*DASHSCRIBE_MODELS_DIR"):
        get(room=Room(tmp_path, free - 100_000_000), spare_bytes=lambda size: 200_000_000)
    assert part.stat().st_size == 0


def test_reserve_is_kept_while_a_body_of_unknown_length_comes(
    mirror: Mirror, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY)

    mirror.paths["/m"] = endless
    monkeypatch.setattr(room_module, "LOOK_BYTES", 1_000_000)
    with pytest.raises(NoRoomLeftError):
        get(room=Room(tmp_path, 10**15))


def test_write_that_fails_is_told_and_what_came_is_kept(
    mirror: Mirror, get: Get, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files acts as a full disk does: the last write is cut short, the next one fails."""
    import resource

    mirror.paths["/m"] = serving(BODY)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
    try:
        with pytest.raises(NoRoomLeftError, match="the download cannot be kept: File too large"):
            get()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert part.stat().st_size == 1_500_000
    assert get() == SUM
    assert mirror.ranges("/m") == ["", "bytes=1500000-"]
