"""Temporary keys: ``POST /api/v1/tokens`` lends a permanent key's rights for at most half an hour.

The answer is flat, without the service's envelope, as its page has it. A temporary key makes no other: it would outlive
what its owner granted.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Response

from dashscribe.errors import AccessDeniedError
from dashscribe.wire.guard import Caller
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.values import number

MAX_TOKEN_S = 1800
TOKEN_S = 60

router = APIRouter(prefix="/api/v1", tags=["keys"])


@router.post(
    "/tokens",
    summary="Make a temporary key",
    responses={
        200: {
            "description": "expires_at is in Unix seconds",
            "content": {"application/json": {"example": {"token": "st-4d3c2b1a…", "expires_at": 1780315860}}},
        },
        400: {"description": "expire_in_seconds is out of range"},
        401: {"description": "InvalidApiKey"},
        403: {"description": "AccessDenied: the key is itself temporary"},
    },
)
@router.post("/tokens/", include_in_schema=False)
async def make_token(
    caller: Caller,
    parts: Annotated[Parts, Depends(parts_of)],
    expire_in_seconds: Annotated[str, Query(description=f"1 to {MAX_TOKEN_S}; default {TOKEN_S}.")] = "",
) -> Response:
    """A key that works like the caller's until it expires, or until the caller's is revoked."""
    if caller.temporary:
        raise AccessDeniedError("A temporary key makes no other; send a permanent one.")
    life_s = number("expire_in_seconds", expire_in_seconds, TOKEN_S, 1, MAX_TOKEN_S)
    token, expires_at = await in_thread(parts.queries, parts.keys.lend, caller, life_s)
    return Response(msgspec.json.encode({"token": token, "expires_at": expires_at}), media_type="application/json")
