"""Upload credentials: a policy in the form of the object store's, signed; who holds one may upload without a key.

A credential says whose upload it will be, for which model, under which folder and until when; nothing about it is kept.
The ticket in the upload address lets a stranger be turned away before a byte of the form is read. It says until when
and (as a digest) whose, too, and so belongs to the policies that say the same.
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import msgspec
from msgspec import Struct

from dashscribe.wire.oss import OssError

#: How long a credential lets uploads begin.
LIFETIME = timedelta(seconds=300)
#: What an upload is refused with that begins later.
EXPIRED = "Invalid according to Policy: Policy expired."

Condition: TypeAlias = "list[str | int] | dict[str, str]"


class Policy(Struct, frozen=True, kw_only=True):
    """What a credential permits; ``owner`` and ``model`` are ours, the rest is as the object store has it."""

    expiration: datetime
    conditions: list[Condition]
    owner: str
    model: str


@dataclass(frozen=True, slots=True)
class Credential:
    """A policy as its holder gets it; ``ticket`` belongs into the upload address."""

    policy: str
    signature: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """What an upload address says, read when the upload began: epoch seconds, and ``whose`` it is without telling."""

    expires_s: int
    whose: str
    begun_s: float


def issue(secret: str, owner: str, model: str, folder: str, fields: Mapping[str, str], max_bytes: int) -> Credential:
    """A credential for files in a folder of keys; ``fields`` are what the form must say beside."""
    expiration = datetime.now(UTC).replace(microsecond=0) + LIFETIME
    conditions: list[Condition] = [["content-length-range", 0, max_bytes], ["starts-with", "$key", f"{folder}/"]]
    conditions += [{name: value} for name, value in fields.items()]
    policy = Policy(expiration=expiration, conditions=conditions, owner=owner, model=model)
    encoded = base64.b64encode(msgspec.json.encode(policy)).decode()
    says = f"{int(expiration.timestamp())}-{_whose(secret, owner)}"
    return Credential(encoded, _sign(secret, "policy", encoded), f"{says}-{_sign(secret, 'ticket', says)}")


def admit(secret: str, ticket: str) -> Ticket:
    """The ticket of an upload address, for an upload that begins now. Raises OssError."""
    parts = re.fullmatch(r"(([0-9]{1,12})-([0-9a-f]{32}))-(\S{1,100})", ticket)
    if not parts or not _same(parts[4], _sign(secret, "ticket", parts[1])):
        raise OssError(403, "AccessDenied", "The address of the upload is not one that getPolicy gave.")
    read = Ticket(int(parts[2]), parts[3], time.time())
    if read.expires_s < read.begun_s:
        raise OssError(403, "AccessDenied", EXPIRED)
    return read


def read(secret: str, ticket: Ticket, policy: str, signature: str) -> Policy:
    """The policy that the form holds.

    Raises OssError for one that was not issued here, was changed since, had expired when the upload began, however long
    that took, or has another address than this.
    """
    if not _same(signature, _sign(secret, "policy", policy)):
        raise OssError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
        )
    try:
        found = msgspec.json.decode(base64.b64decode(policy, validate=True), type=Policy)
    except (ValueError, msgspec.MsgspecError) as error:
        raise OssError(400, "InvalidPolicyDocument", "Invalid Policy: Invalid JSON.") from error
    expires_s = int(found.expiration.timestamp())
    if expires_s < ticket.begun_s:
        raise OssError(403, "AccessDenied", EXPIRED)
    if expires_s != ticket.expires_s or not _same(ticket.whose, _whose(secret, found.owner)):
        raise OssError(403, "AccessDenied", "The address of the upload belongs to another policy: send both as given.")
    return found


def check(policy: Policy, fields: Mapping[str, str], size_bytes: int) -> None:
    """Hold a form with a file of this size against its policy. Raises OssError naming the condition that fails.

    Names of ``fields`` are in lower case.
    """
    for condition in policy.conditions:
        rules = [["eq", f"${name}", value] for name, value in condition.items()] if isinstance(condition, dict) else ()
        for rule in rules or [condition]:
            if isinstance(rule, list) and not _holds(rule, fields, size_bytes):
                text = msgspec.json.encode(rule).decode()
                raise OssError(403, "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {text}")


def _holds(rule: Sequence[str | int], fields: Mapping[str, str], size_bytes: int) -> bool:
    match rule:
        case ["content-length-range", int(low), int(high)]:
            return low <= size_bytes <= high
        case ["eq", str(name), str(value)]:
            return fields.get(name.removeprefix("$").lower()) == value
        case ["starts-with", str(name), str(value)]:
            return fields.get(name.removeprefix("$").lower(), "").startswith(value)
        case _:
            return False


def _whose(secret: str, owner: str) -> str:
    """The same for all credentials of an owner, and telling no stranger who that is."""
    return hmac.digest(secret.encode(), f"owner\n{owner}".encode(), "sha256")[:16].hex()


def _sign(secret: str, purpose: str, text: str) -> str:
    """Base64 without what would need escaping in a path."""
    digest = hmac.digest(secret.encode(), f"{purpose}\n{text}".encode(errors="surrogatepass"), "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogatepass"), wanted.encode())
