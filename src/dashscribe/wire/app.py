"""Composes the HTTP application from its parts: routes, envelopes, health, the pages at ``/`` and at ``/docs``.

``/healthz`` says that the process answers; ``/readyz`` asks the parts whether work would succeed.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from dashscribe.errors import ConfigError
from dashscribe.sounds import Sounds
from dashscribe.wire import (
    access,
    account,
    again,
    async_tasks,
    audio,
    body,
    callbacks,
    docs_page,
    envelope,
    exports,
    generation,
    hotwords,
    metrics,
    model_choice,
    models,
    openai,
    pages,
    phrases,
    recordings,
    results,
    retry,
    sound,
    tokens,
    transcripts,
    tus,
    uploads,
)
from dashscribe.wire.headers import SafeHeaders
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.places import Held, Places
from dashscribe.wire.turns import Turns

health = APIRouter(tags=["health"])


@health.get("/healthz", summary="Whether the process answers")
async def healthz(request: Request) -> Response:
    """Always 200 while the server runs. ``service`` tells clients whose extensions they may rely on."""
    return envelope.answer(request, {"status": "ok", "service": "dashscribe"})


@health.get("/readyz", summary="Whether work would succeed", responses={503: {"description": "The reasons, by name"}})
async def readyz(request: Request, parts: Annotated[Parts, Depends(parts_of)]) -> Response:
    """200 when the server can do its work, else 503 with the reasons; what would run for each model, and why."""
    reasons = await in_thread(parts.checks, parts.ready)
    told = await in_thread(parts.checks, models.standings, parts)
    if reasons:
        members = {"status": "not ready", "reasons": dict(reasons), "models": told}
        return envelope.answer(request, members, status=503)
    return envelope.answer(request, {"status": "ready", "models": told})


#: What the server answers besides its pages. The first route that fits a path is taken.
_ROUTERS = (
    async_tasks.router,
    retry.router,
    generation.router,
    uploads.router,
    tus.router,
    hotwords.router,
    phrases.router,
    tokens.router,
    callbacks.router,
    recordings.router,
    account.router,
    model_choice.router,
    results.router,
    transcripts.router,
    exports.router,
    again.router,
    sound.router,
    models.router,
    openai.router,
    audio.router,
    metrics.router,
    health,
)


def create_probe_app(parts: Parts) -> FastAPI:
    """What a worker answers by itself: whether it lives, whether its work would succeed, what it counts."""
    app = FastAPI(title="dashscribe worker", version=version("dashscribe"), openapi_url=None)
    _install(app, parts)
    _answer(app, (health, metrics.router))
    return app


def _answer(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Have an application answer by the routes of these routers, as they are.

    ``include_router`` would build each anew, with what an application may add to it, of which there is nothing here:
    0.1 s of the first request, and a millisecond of every other.
    """
    for router in routers:
        app.router.routes.extend(router.routes)


def _install(app: FastAPI, parts: Parts) -> None:
    app.state.parts = parts
    app.state.turns = Turns(parts.settings)
    app.state.bodies = Places(body.LARGE_BODIES, "bodies")
    app.state.forms = Places(uploads.FORMS, "forms")
    app.add_middleware(Held)
    envelope.install(app)
    metrics.install(app, parts)
    access.install(app, parts)


def create_app(parts: Parts) -> FastAPI:
    """The application, ready for an ASGI server. Raises ConfigError for a time zone that does not exist."""
    try:
        ZoneInfo(parts.settings.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(
            f"time_zone={parts.settings.time_zone!r}: give a name such as Asia/Shanghai or UTC"
        ) from error
    app = FastAPI(
        title="dashscribe",
        version=version("dashscribe"),
        description="Recorded-file speech recognition with the HTTP interface of Alibaba Cloud Model Studio.",
        redirect_slashes=False,  # clients post to both forms, and a redirected POST loses its body
        docs_url=None,
        redoc_url=None,
    )
    _install(app, parts)
    app.state.sounds = Sounds(parts.database, parts.store, parts.uploads, parts.hosts)
    docs_page.install(app)
    pages.install(app)
    app.add_middleware(SafeHeaders)  # the outermost, so that no answer is without them
    _answer(app, _ROUTERS)
    return app
