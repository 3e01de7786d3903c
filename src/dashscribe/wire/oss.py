"""The words of the object store behind the service: XML, for what its clients address to it."""

from __future__ import annotations

from xml.sax.saxutils import escape

from fastapi import Request, Response

from dashscribe.wire import envelope


class OssError(Exception):
    """A refusal: HTTP status, code, message, and the seconds to wait, where that helps."""

    def __init__(self, status: int, code: str, message: str, retry_after_s: int = 0) -> None:
        super().__init__(status, code, message, retry_after_s)
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s


def refuse(request: Request, error: OssError) -> Response:
    """The form of an error that uploaders and downloaders know."""
    inner = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
    answer = xml(f"<Error>{inner}<RequestId>{envelope.request_id(request)}</RequestId></Error>", error.status)
    if error.retry_after_s:
        answer.headers["retry-after"] = str(error.retry_after_s)
    return answer


def xml(body: str, status: int) -> Response:
    """An answer in XML."""
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n', status, media_type="application/xml")
