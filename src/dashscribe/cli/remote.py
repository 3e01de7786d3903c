"""What commands that talk to a server have in common: how it is named, with which key, in which words it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from dashscribe.client import Client

BaseUrl = Annotated[
    str | None,
    typer.Option(help="Server to ask; else DASHSCOPE_HTTP_BASE_URL, else http://127.0.0.1:8000/api/v1.", metavar="URL"),
]
ApiKey = Annotated[
    str | None, typer.Option(help="Key to send; else DASHSCOPE_API_KEY or DASHSCRIBE_API_KEY.", metavar="KEY")
]


def model_names(incomplete: str) -> list[str]:
    """Completes the name of a model."""
    from dashscribe.catalog import MODELS

    return [name for name in MODELS if name.startswith(incomplete)]


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, in the words of the service.")]


def client(base_url: str | None, api_key: str | None, sleep: Callable[[float], None] = time.sleep) -> Client:
    """A client of that server; a context manager."""
    from dashscribe.client import Client

    return Client(base_url, api_key, sleep=sleep)
