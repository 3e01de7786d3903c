"""Targets: where events go, for whose tasks, which of them, signed and repeated how.

A target of an owner is told of that owner's tasks; one of the whole server (owner "") of everybody's. Owners manage
their own; the owner ``default``, with a permanent key, those of the server, too. One that the settings name is the
server's as well, and changed there only.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urlsplit

import httpcore
import httpx
import idna
import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, insert, select, update

from dashscribe.catalog import MODELS
from dashscribe.config import Settings
from dashscribe.db import now_ms, reading, serialize, tables, writing
from dashscribe.db.tables import DeliveryState, Status
from dashscribe.errors import ConfigError, ConflictError, InvalidParameterError, NotFoundError
from dashscribe.errors.sources import SourceAddressError, SourceError
from dashscribe.fetch.address import Guard

#: Owner of targets that are told of everybody's tasks.
EVERYBODY = ""
#: Targets that an owner may have.
MAX_TARGETS = 50
MAX_URL_CHARS, MAX_NAME_CHARS, MAX_TOKEN_CHARS = 2048, 100, 256
#: A token shorter than this is not shown in part.
HINTED_TOKEN_CHARS, HINT_CHARS = 12, 4
FINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
#: What RocketMQ allows in the name of a topic.
_TOPIC = re.compile(r"/([%A-Za-z0-9_-]{1,127})")

#: What is said of what is not sent any more because its target is gone.
REMOVED = "the target was removed"
#: A token is never told: who sends it somewhere else has to know it.
_STAYS = 'the one that is kept is not sent to another url: give it again with the url, or another, or "" for none'

_target, _delivery = tables.callback_targets, tables.callback_deliveries


class Kind(StrEnum):
    """How a target is reached. ROCKETMQ is unproven: it was never run against a broker."""

    HTTP = "http"
    ROCKETMQ = "rocketmq"


class Policy(StrEnum):
    """When a delivery that failed is tried again (api-async section 8.4)."""

    BACKOFF = "BACKOFF_RETRY"
    DECAY = "EXPONENTIAL_DECAY_RETRY"


class Scheme(StrEnum):
    """How requests are signed: as today (section 8.2), or as once (8.3)."""

    CURRENT = "current"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One target. Empty ``models`` or ``statuses`` mean all; ``token`` is a secret."""

    id: str = ""
    owner: str
    url: str
    kind: Kind = Kind.HTTP
    name: str = ""
    models: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    policy: Policy = Policy.BACKOFF
    signature: Scheme = Scheme.CURRENT
    dead_letters: bool = True
    paused: bool = False
    origin: str = "api"
    created_ms: int = 0
    failures: int = 0

    @property
    def place(self) -> str:
        """Scheme and host, for logs: paths and queries may hold secrets."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def token_hint(self) -> str:
        """The end of the token, so that a person can tell tokens apart; empty without one."""
        if not self.token:
            return ""
        return "…" + (self.token[-HINT_CHARS:] if len(self.token) >= HINTED_TOKEN_CHARS else "")

    def wants(self, model: str, status: str) -> bool:
        """Whether its filters let such an event through."""
        return (not self.models or model in self.models) and (not self.statuses or status in self.statuses)


def callback_url(given: str) -> tuple[Kind, str]:
    """A URL in the very form in which it is called and signed. Raises InvalidParameterError.

    ``rocketmq://HOST:PORT/TOPIC`` names a broker's proxy, ``rocketmqs://`` one that speaks TLS.
    """
    shown = repr(given if len(given) <= 80 else given[:79] + "…")
    try:
        url = httpx.URL(str(httpx.URL(given.strip())))  # once more: https must be in small letters for :443 to go
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, idna.IDNAError, UnicodeError) as error:
        raise _refusal("url", f"{shown} cannot be read as a URL: {error}") from error
    if len(given) > MAX_URL_CHARS:
        raise _refusal("url", f"it has {len(given)} characters; {MAX_URL_CHARS} are the most")
    if url.userinfo:
        raise _refusal("url", "leave name and password out: the signature proves who calls, and a token can be set")
    if not host or "%" in host or not 0 < (url.port or 80) < 65536 or url.fragment:
        raise _refusal("url", f"{shown} has no usable host or port, or a part behind #")
    if url.scheme in ("rocketmq", "rocketmqs"):
        if not (url.port and _TOPIC.fullmatch(url.path) and not url.query and ":" not in host):
            raise _refusal("url", f"{shown} is not rocketmq://HOST:PORT/TOPIC")
        return Kind.ROCKETMQ, str(url)
    if url.scheme not in ("http", "https"):
        raise _refusal("url", f"{shown} is no http, https or rocketmq URL")
    return Kind.HTTP, f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}"


def checked(target: Target) -> Target:
    """The target with its URL in the form that is called. Raises InvalidParameterError for what no target may be."""
    kind, url = callback_url(target.url)
    if unknown := [model for model in target.models if model not in MODELS or MODELS[model].interface != "async"]:
        raise _refusal("models", f"{unknown[0]!r:.80} is no model of tasks; `dashscribe models ls` lists the names")
    if wrong := [status for status in target.statuses if status not in FINAL]:
        raise _refusal("statuses", f"{wrong[0]!r:.80} is none of {', '.join(FINAL)}")
    if len(target.name) > MAX_NAME_CHARS or not (target.name.isprintable() or not target.name):
        raise _refusal("name", f"give at most {MAX_NAME_CHARS} printable characters")
    if target.token and not (_HEADER_VALUE.fullmatch(target.token) and len(target.token) <= MAX_TOKEN_CHARS):
        raise _refusal("token", f"give at most {MAX_TOKEN_CHARS} printable ASCII characters")
    if kind is Kind.ROCKETMQ and target.token and ":" not in target.token:
        raise _refusal("token", "for RocketMQ it is ACCESS_KEY:SECRET_KEY")
    return replace(target, url=url, kind=kind)


def judge(target: Target, allow: str) -> None:
    """Say at once what every delivery would only end with: that the address guard refuses the host.

    Raises InvalidParameterError; a name that does not resolve now may do so later.
    """
    url = urlsplit(target.url)
    try:
        Guard(allow).addresses(url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
    except SourceAddressError as error:
        raise _refusal("url", error.detail) from error
    except (SourceError, httpcore.ConnectError):
        return


def _refusal(name: str, detail: str) -> InvalidParameterError:
    return InvalidParameterError(f"{name}: {detail}.", name)


# --- the table --------------------------------------------------------------------------------------------------------


def managed_by(owner: str, *, operates: bool) -> ColumnElement[bool]:
    """Which targets somebody may see and change: the own ones, and those of the server for who ``operates`` it."""
    return _target.c.owner.in_((owner, EVERYBODY) if operates else (owner,))


class TargetBook:
    """The targets of one installation. ``operates``: the caller may manage those of the whole server, too."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, target: Target) -> Target:
        """Keep a new target: it is told of every task that ends from now on. Raises InvalidParameterError."""
        target = replace(checked(target), id=f"cb-{secrets.token_hex(8)}", created_ms=now_ms())
        with writing(self._engine, urgent=True) as connection:
            serialize(connection, "callback targets", target.owner)
            mine = select(_target.c.id).where(_target.c.owner == target.owner, _target.c.removed.is_(False))
            if len(connection.execute(mine.limit(MAX_TARGETS)).all()) >= MAX_TARGETS:
                raise ConflictError(f"There are {MAX_TARGETS} targets already, which is the limit: remove one.")
            connection.execute(insert(_target).values(_row(target)))
        return target

    def list(self, owner: str, *, operates: bool) -> Sequence[Target]:
        """The targets that this owner manages, the oldest first."""
        query = select(_target).where(managed_by(owner, operates=operates), _target.c.removed.is_(False))
        with reading(self._engine) as connection:
            rows = (
                connection.execute(query.order_by(_target.c.created_ms, _target.c.url, _target.c.id)).mappings().all()
            )
        return [target_of(row) for row in rows]

    def get(self, owner: str, target_id: str, *, operates: bool) -> Target:
        """One of them. Raises NotFoundError."""
        with reading(self._engine) as connection:
            return _find(connection, owner, target_id, operates=operates)

    def change(self, owner: str, target_id: str, changes: dict[str, object], *, operates: bool) -> Target:
        """Set members of a target, by name. Raises NotFoundError, InvalidParameterError, ConflictError."""
        with writing(self._engine, urgent=True) as connection:
            found = _find(connection, owner, target_id, operates=operates, lock=True)
            if found.origin == "settings" and set(changes) - {"paused"}:
                raise ConflictError("It stands in the settings (DASHSCRIBE_CALLBACK_URL): change it there.")
            changed = checked(replace(found, **changes))  # type: ignore[arg-type]
            if found.token and changed.url != found.url and "token" not in changes:
                raise _refusal("token", _STAYS)
            connection.execute(update(_target).where(_target.c.id == target_id).values(_row(changed)))
        return changed

    def remove(self, owner: str, target_id: str, *, operates: bool) -> None:
        """Send nothing to a target any more; what waited for it is dropped. Raises NotFoundError, ConflictError."""
        with writing(self._engine, urgent=True) as connection:
            found = _find(connection, owner, target_id, operates=operates)
            if found.origin == "settings":
                raise ConflictError("It stands in the settings (DASHSCRIBE_CALLBACK_URL): take it out there.")
            _remove(connection, [target_id])


def _find(connection: Connection, owner: str, target_id: str, *, operates: bool, lock: bool = False) -> Target:
    """A target that is there; ``lock`` it for who writes back what he read."""
    mine = (managed_by(owner, operates=operates), _target.c.id == target_id, _target.c.removed.is_(False))
    query = select(_target).where(*mine)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if row is None:
        raise NotFoundError(f"There is no callback target {target_id[:80]!r} of this key.")
    return target_of(row)


def _remove(connection: Connection, ids: Sequence[str]) -> None:
    # Deliveries before targets, as whoever sends locks them.
    waiting = (_delivery.c.target_id.in_(ids), _delivery.c.state == DeliveryState.WAITING)
    dropped = {"state": DeliveryState.DROPPED, "error": REMOVED}
    connection.execute(update(_delivery).where(*waiting).values(dropped))
    connection.execute(update(_target).where(_target.c.id.in_(ids)).values(removed=True, token=""))


def _token(settings: Settings) -> str:
    return settings.callback_token.get_secret_value() if settings.callback_token else ""


def fixed_targets(settings: Settings) -> dict[str, Target]:
    """The targets that the settings name, by URL. Raises ConfigError."""
    same = Target(owner=EVERYBODY, url="", token=_token(settings), origin="settings", name="settings")
    try:
        found = [checked(replace(same, url=part)) for part in settings.callback_url.split(",") if part.strip()]
    except InvalidParameterError as error:
        what, _, why = error.detail.partition(": ")
        raise ConfigError(f"DASHSCRIBE_CALLBACK_{what.upper()}: {why}") from error
    return {target.url: target for target in found}


def keep_fixed(engine: Engine, settings: Settings) -> None:
    """Make the targets that the settings name those of the whole server, and forget those they no longer name.

    All processes of an installation should have the same settings: the last one to start decides. Raises ConfigError.
    """
    wanted = fixed_targets(settings)
    urls, token = set(wanted), _token(settings)
    fixed = (_target.c.origin == "settings", _target.c.removed.is_(False))
    with reading(engine) as connection:
        kept = {row.url: row for row in connection.execute(select(_target).where(*fixed))}
    if urls == set(kept) and all(row.token == token for row in kept.values()):
        return
    with writing(engine) as connection:
        serialize(connection, "callback targets of the settings")  # many workers may start at once
        kept = {row.url: row for row in connection.execute(select(_target).where(*fixed))}
        if gone := [row.id for url, row in kept.items() if url not in urls]:
            _remove(connection, gone)
        connection.execute(update(_target).where(*fixed).values(token=token))
        for url in sorted(urls - set(kept)):
            new = replace(wanted[url], id=f"cb-{secrets.token_hex(8)}", created_ms=now_ms())
            connection.execute(insert(_target).values(_row(new)))


def _row(target: Target) -> dict[str, object]:
    same = ("id", "owner", "kind", "url", "name", "token", "policy", "signature", "dead_letters", "paused", "origin")
    values: dict[str, object] = {name: getattr(target, name) for name in (*same, "created_ms")}
    return values | {name: msgspec.json.encode(getattr(target, name)).decode() for name in ("models", "statuses")}


def target_of(row: RowMapping) -> Target:
    """A row of the table as a target."""
    same = ("id", "owner", "url", "name", "token", "dead_letters", "paused", "origin", "created_ms", "failures")
    return Target(
        **{name: row[name] for name in same},
        kind=Kind(row["kind"]),
        policy=Policy(row["policy"]),
        signature=Scheme(row["signature"]),
        models=msgspec.json.decode(row["models"], type=tuple[str, ...]),
        statuses=msgspec.json.decode(row["statuses"], type=tuple[str, ...]),
    )
