"""Who is asking: the bearer key of a request, as the owner whose tasks it may see.

All keys of an owner see the same tasks; what belongs to another owner does not exist for them.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dashscribe import log_fields
from dashscribe.errors import InvalidApiKeyError, MissingApiKeyError
from dashscribe.keys import Identity
from dashscribe.wire.parts import Parts, in_thread, parts_of

bearer = HTTPBearer(auto_error=False, description="An API key of `dashscribe keys create`, or a temporary one.")


async def identify(
    request: Request,
    parts: Annotated[Parts, Depends(parts_of)],
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
) -> Identity:
    """The owner and key behind ``Authorization: Bearer KEY``. Raises MissingApiKeyError or InvalidApiKeyError."""
    if credentials is not None and credentials.credentials.strip():
        bearer = credentials.credentials.strip()
        # A thread only for those that the database is to be asked about: handing over costs more than looking here.
        identity = parts.keys.known(bearer) or await in_thread(parts.queries, parts.keys.identify, bearer)
        request.state.owner = identity.owner
        log_fields.add(owner=identity.owner)
        return identity
    sent = request.headers.get("authorization", "").strip()
    if not sent or sent.lower() == "bearer":
        raise MissingApiKeyError("Send the header Authorization: Bearer KEY.")
    raise InvalidApiKeyError("The header Authorization must read Bearer KEY.")


Caller = Annotated[Identity, Depends(identify)]
