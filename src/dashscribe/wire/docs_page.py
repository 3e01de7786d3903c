"""The page at ``/docs``: the interface to read and to try, drawn by Swagger UI out of an installed package.

FastAPI's own page loads the same from another host; this one asks nobody but the server it comes from, so that it works
offline. Its addresses are relative, because a proxy in front may add to the path.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

#: Where the files of the page lie on the server, and in which package and folder of it.
_ASSETS = "docs/assets"
_PACKAGE = ("fastapi_swagger", "resources")


def install(app: FastAPI) -> None:
    """Serve the page and its files; ``app`` is made with ``docs_url=None``."""
    app.openapi = partial(_document, app, app.openapi)
    app.add_api_route("/docs", _page, include_in_schema=False)
    app.mount(f"/{_ASSETS}", _Assets(packages=[_PACKAGE]))


def _document(app: FastAPI, generate: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The OpenAPI document without the framework's own error, which ``envelope`` never lets out."""
    if app.openapi_schema is None:
        document = generate()
        for operation in (operation for path in document["paths"].values() for operation in path.values()):
            operation["responses"].pop("422", None)
        document.get("components", {}).pop("schemas", None)
    return generate()


class _Assets(StaticFiles):
    """Files of an installed package: public, so that browsers may keep them and ask whether they still hold."""

    def file_response(self, *args: Any, **how: Any) -> Response:
        response = super().file_response(*args, **how)
        response.headers["cache-control"] = "no-cache"
        return response


async def _page() -> Response:
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="dashscribe",
        swagger_js_url=f"{_ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{_ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{_ASSETS}/favicon-32x32.png",
        # Unless it is switched off, Swagger UI has the document checked by a service of its makers.
        swagger_ui_parameters={"validatorUrl": None},
    )
    page.headers["content-security-policy"] = _policy(bytes(page.body).decode())
    return page


def _policy(page: str) -> str:
    """What the page may load: files of this server, and of scripts inside it the very ones that it has."""
    inside = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inside]
    return (
        f"default-src 'none'; script-src 'self' {' '.join(hashes)}; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
