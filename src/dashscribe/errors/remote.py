"""What can go wrong between a client and its server: refused, not reached, not done in time."""

from __future__ import annotations

from dashscribe.errors import DashscribeError


class ApiError(DashscribeError):
    """The server refused a call: its HTTP status, its code and message, and the id under which it logged the call."""

    def __init__(
        self, detail: str, http_status: int = 0, api_code: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.args = (detail, http_status, api_code, retry_after_s)
        self.http_status = http_status
        self.api_code = api_code
        self.retry_after_s = retry_after_s


class UnreachableError(DashscribeError):
    """No answer from the server; ``sent`` tells whether the request may have arrived."""

    def __init__(self, detail: str, sent: bool = False) -> None:
        super().__init__(detail)
        self.args = (detail, sent)
        self.sent = sent


class UnfinishedError(DashscribeError, TimeoutError):
    """A task had not ended when it had been asked for as long as it was to be; it goes on."""
