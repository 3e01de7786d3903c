"""Temporary uploads as the service has them: a credential, then one form per file, as to an object store.

Answers to the form are that store's: nothing when it is taken, XML when it is refused. The form needs no key, its
policy is the permission. What a client sends about the content's type is not looked at; decoding finds out.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any
from xml.sax.saxutils import escape

from fastapi import APIRouter, Depends, Query, Request, Response

from dashscribe import db
from dashscribe.catalog import find_model
from dashscribe.errors import (
    BusyError,
    ConflictError,
    InvalidBodyError,
    NoRoomError,
    TooLargeError,
    UploadBusyError,
)
from dashscribe.keys import Identity
from dashscribe.object_keys import is_good_key
from dashscribe.wire import body, envelope, oss, policies
from dashscribe.wire.form import Form, read_form
from dashscribe.wire.guard import Caller
from dashscribe.wire.oss import OssError
from dashscribe.wire.parts import Parts, in_thread, parts_of
from dashscribe.wire.policies import Ticket
from dashscribe.wire.values import refusal

PATH = "/oss-upload"
MEBIBYTE = 1024**2
#: Forms that may come in at once, half of them with credentials of one owner. An upload takes as long as its line is
#: slow, and its place as long, so they are more than those for bodies, from which they are apart: who uploads much can
#: submit meanwhile. Of each there are up to two pieces (form.GATHERED_BYTES) in memory, and its fields.
FORMS = 128
#: What a form may have beside its file; clients send eight fields, none of which has more than 2 KiB.
MAX_FIELDS, MAX_FIELD_BYTES = 32, 8 * 1024
#: What every form has to say, as the answer to getPolicy spells it out.
_FIELDS = {"x-oss-object-acl": "private", "x-oss-forbid-overwrite": "true"}
#: The statuses that a client may choose for success; anything else means 204, as at the object store.
_SUCCESS = {"200": 200, "201": 201}

_EXAMPLE = {
    "request_id": "0f1e9a60-5d0c-9e1f-8a55-1c2d3e4f5a6b",
    "data": {
        "policy": "eyJleHBpcmF0aW9uIjoi…",
        "signature": "c2lnbmF0dXJl…",
        "upload_dir": "dashscope-instant/0a1b2c…/2026-06-01/3d4e5f…",
        "upload_host": f"https://asr.example.org{PATH}/1780286400-0a1b2c…-dGlja2V0…",
        "expire_in_seconds": 300,
        "max_file_size_mb": 2048,
        "capacity_limit_mb": 999999999,
        "oss_access_key_id": "dashscribe",
        "x_oss_object_acl": "private",
        "x_oss_forbid_overwrite": "true",
    },
}
_FORM: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["policy", "Signature", "key", *_FIELDS, "file"],
                "properties": {
                    **{name: {"type": "string"} for name in ("policy", "Signature", "key", *_FIELDS)},
                    "success_action_status": {"type": "string", "enum": ["200", "201", "204"], "default": "204"},
                    "file": {"type": "string", "format": "binary"},
                },
            }
        }
    },
}

router = APIRouter(tags=["uploads"])
Here = Annotated[Parts, Depends(parts_of)]


@router.get(
    "/api/v1/uploads",
    summary="Get an upload credential",
    responses={
        200: {"description": "Success", "content": {"application/json": {"example": _EXAMPLE}}},
        400: {"description": "action is not getPolicy, or model is missing"},
        404: {"description": "ModelNotFound"},
    },
)
@router.get("/api/v1/uploads/", include_in_schema=False)
async def get_policy(
    request: Request,
    caller: Caller,
    parts: Here,
    action: Annotated[str, Query(description="Must be `getPolicy`.")] = "",
    model: Annotated[str, Query(description="The model that the files are for.")] = "",
) -> Response:
    """A credential for forms to upload_host; each file then has the URL oss:// + key, for 48 hours."""
    parts.limits.ask(caller.owner, "upload")
    if action != "getPolicy":
        raise refusal("action", action, "give getPolicy")
    if not model:
        raise refusal("model", model, "give the name of the model that the files are for, such as fun-asr")
    find_model(model)
    data = await in_thread(parts.queries, _credential, parts, caller, model)
    data["upload_host"] = envelope.base_url(request, parts.settings.public_url) + data["upload_host"]
    return envelope.answer(request, {"data": data})


def _credential(parts: Parts, caller: Identity, model: str) -> dict[str, Any]:
    folder = parts.uploads.new_folder(caller.owner)
    most = parts.settings.max_file_bytes
    issued = policies.issue(_secret(parts), caller.owner, model, folder, _FIELDS, most)
    return {
        "policy": issued.policy,
        "signature": issued.signature,
        "upload_dir": folder,
        "upload_host": f"{PATH}/{issued.ticket}",
        "expire_in_seconds": int(policies.LIFETIME.total_seconds()),
        "max_file_size_mb": max(1, most // MEBIBYTE),
        "capacity_limit_mb": max(0, parts.uploads.room_bytes() // MEBIBYTE),
        "oss_access_key_id": "dashscribe",
        "x_oss_object_acl": _FIELDS["x-oss-object-acl"],
        "x_oss_forbid_overwrite": _FIELDS["x-oss-forbid-overwrite"],
    }


def _secret(parts: Parts) -> str:
    return db.secret(parts.database, "upload-policies")


@router.post(
    PATH + "/{ticket}",
    summary="Upload a file with a credential",
    openapi_extra={"requestBody": _FORM},
    response_class=Response,
    responses={
        200: {"description": "Taken; the body is empty"},
        400: {"description": "The form is broken"},
        403: {"description": "The credential does not permit this, or has expired"},
        409: {"description": "FileAlreadyExists"},
        413: {"description": "EntityTooLarge"},
        429: {"description": "SlowDown: too many come in at once; Retry-After tells when to try again"},
        503: {"description": "ServiceUnavailable: another request uploads the same object"},
    },
)
async def upload(request: Request, parts: Here, ticket: str) -> Response:
    """Takes one file. No key is needed: the signed policy in the form is the permission."""
    try:
        return await _receive(request, parts, ticket)
    except BusyError as error:
        request.state.error = error  # for whoever counts
        message = "More uploads come in at once, of this owner or of all, than may: try again in a moment."
        return oss.refuse(request, OssError(error.status, "SlowDown", message, error.retry_after_s))
    except OssError as error:
        return oss.refuse(request, error)


async def _receive(request: Request, parts: Parts, address: str) -> Response:
    secret = await in_thread(parts.queries, _secret, parts)
    ticket = policies.admit(secret, address)
    with ExitStack() as stack:
        stack.enter_context(body.place(request, request.app.state.forms, ticket.whose))
        room = await in_thread(parts.queries, parts.uploads.room_bytes)
        most = parts.settings.max_file_bytes
        folder = await in_thread(parts.blobs, stack.enter_context, parts.uploads.folder())
        form = await _read(request, parts, folder, most, room)
        return await in_thread(parts.arriving, _keep, parts, secret, ticket, form)


async def _read(request: Request, parts: Parts, folder: Path, most: int, room: int) -> Form:
    """The form, with no more of a file than the limit and the disk allow. Raises OssError."""
    try:
        bound = min(most, max(room, 0))
        return await read_form(
            request,
            folder,
            max_file_bytes=bound,
            max_fields=MAX_FIELDS,
            max_field_bytes=MAX_FIELD_BYTES,
            check_room=parts.uploads.check_room,
        )
    except NoRoomError as error:
        raise OssError(507, "InsufficientStorage", error.message) from error
    except TooLargeError as error:
        if room < most:
            raise OssError(507, "InsufficientStorage", NoRoomError.text) from error
        message = f"Your proposed upload exceeds the maximum allowed size of {most} bytes."
        raise OssError(413, "EntityTooLarge", message) from error
    except InvalidBodyError as error:
        raise OssError(400, "MalformedPOSTRequest", error.message) from error


def _keep(parts: Parts, secret: str, ticket: Ticket, form: Form) -> Response:
    """Check the form against its policy and keep its file: durable when this returns."""
    fields = {name.lower(): value for name, value in form.fields}
    policy = policies.read(secret, ticket, fields.get("policy", ""), fields.get("signature", ""))
    file = form.files.get("file")
    if file is None:
        raise OssError(
            400, "IncorrectNumberOfFilesInPOSTRequest", "POST requires exactly one file upload per request, named file."
        )
    policies.check(policy, fields, file.size_bytes)
    key = fields["key"]
    if not is_good_key(key):
        raise OssError(400, "InvalidObjectName", "The specified object is not valid.")
    try:
        kept = parts.uploads.keep_as(key, policy.owner, file.path, model=policy.model)
    except ConflictError as error:
        message = "The object you specified already exists and can not be overwritten."
        raise OssError(409, "FileAlreadyExists", message) from error
    except UploadBusyError as error:
        message = "The object is being uploaded by another request: try again in a moment."
        raise OssError(503, "ServiceUnavailable", message) from error
    except NoRoomError as error:
        raise OssError(507, "InsufficientStorage", error.message) from error
    status = _SUCCESS.get(fields.get("success_action_status", ""), 204)
    if status != 201:
        return Response(None, status)
    location = f"<Location>{escape(kept.url)}</Location><Key>{escape(key)}</Key>"
    return oss.xml(f"<PostResponse>{location}</PostResponse>", status)
