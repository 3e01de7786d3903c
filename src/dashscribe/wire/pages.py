"""The pages in the browser: their frame at ``/``, and below ``/pages/`` the scripts, styles and texts it asks for.

Everything comes from this server, nothing is built, and no address begins with a slash, because a proxy in front may
add to the path. The pages hold nothing of anybody's: what they show they fetch with the key that is typed into them.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from fastapi import FastAPI, Request, Response

from dashscribe.errors import NotFoundError

_FOLDER = Path(__file__).with_name("pages")
_FRAME = "index.html"

#: What the pages may load: files and answers of this server. ``blob:`` is what they make themselves, as a file to save.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

#: What is served, by the end of its name; not the system's table, which differs between machines.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class _File:
    """One file of the pages. Weak tags, since the compressed form is the same file in other bytes."""

    content: bytes
    kind: str

    @cached_property
    def tag(self) -> str:
        return f'W/"{hashlib.sha256(self.content).hexdigest()[:24]}"'

    @cached_property
    def compressed(self) -> bytes:
        return gzip.compress(self.content, mtime=0)


@cache
def _files() -> dict[str, _File]:
    """All of them by their path below ``/pages/``: less than a megabyte, read once."""
    found = ((path, _TYPES.get(path.suffix)) for path in sorted(_FOLDER.rglob("*")) if path.is_file())
    return {path.relative_to(_FOLDER).as_posix(): _File(path.read_bytes(), kind) for path, kind in found if kind}


def install(app: FastAPI) -> None:
    """Serve the pages."""
    app.add_api_route("/", _frame, methods=["GET", "HEAD"], include_in_schema=False)
    app.add_api_route("/pages/{path:path}", _part, methods=["GET", "HEAD"], include_in_schema=False)


async def _frame(request: Request) -> Response:
    return _answer(request, _files()[_FRAME])


async def _part(request: Request, path: str) -> Response:
    found = _files().get(path)
    if found is None:
        raise NotFoundError(f"There is no file {PurePosixPath(path[:200]).as_posix()!r} among the pages.")
    return _answer(request, found)


def _answer(request: Request, file: _File) -> Response:
    """The file, or that the browser has it already: it may keep files, and asks each time whether they still hold."""
    headers = {"cache-control": "no-cache", "etag": file.tag, "vary": "accept-encoding"}
    if file.kind.startswith("text/html"):
        headers["content-security-policy"] = _POLICY
    if file.tag.removeprefix("W/") in re.findall(r'"[^"]*"', request.headers.get("if-none-match", "")):
        return Response(None, 304, headers)
    content = file.content
    if re.search(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", request.headers.get("accept-encoding", "")):
        headers["content-encoding"] = "gzip"
        content = file.compressed
    return Response(content, 200, headers, file.kind)
