"""The page at /docs works offline: it and its files come from the server itself."""

from __future__ import annotations

import re

import pytest
from wire_servers import Desk, assert_refused


def page(desk: Desk) -> str:
    response = desk.http.get("/docs", headers={"Authorization": ""})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    return response.text


def test_page_names_no_other_host(desk: Desk):
    assert "//" not in re.sub(r"<!--.*?-->", "", page(desk), flags=re.DOTALL).replace("</", "")


def test_every_file_that_the_page_names_is_served(desk: Desk):
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page(desk))
    assert len(named) == 3
    for path in [*named, "openapi.json"]:
        response = desk.http.get(f"/{path}", headers={"Authorization": ""})
        assert response.status_code == 200, path
        assert response.content


def test_page_reads_the_document_and_has_nobody_check_it(desk: Desk):
    assert "url: 'openapi.json'" in page(desk)
    assert '"validatorUrl": null' in page(desk)


@pytest.mark.parametrize("path", ["nope.js", "../main.py", "%2e%2e/main.py", ""])
def test_nothing_else_of_the_package_is_served(desk: Desk, path: str):
    assert_refused(desk.http.get(f"/docs/assets/{path}"), 404, "NotFound", "Not found!")


def test_document_promises_no_error_that_is_never_given(desk: Desk):
    first, again = (desk.http.get("/openapi.json") for _ in range(2))
    assert first.json() == again.json()
    assert "schemas" not in first.json().get("components", {})
    assert "$ref" not in first.text
    for path, operations in first.json()["paths"].items():
        for method, operation in operations.items():
            assert "422" not in operation["responses"], f"{method} {path}"
