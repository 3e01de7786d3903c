"""Every way to fail, one class each: the service's code, the HTTP status, whether trying again can help.

``text`` is the service's own fixed message, which clients match on; a message starts with it and goes on with the
detail: what was given, the limit, the remedy. The tables are sections 1.5 and 4.2 of the service's asynchronous
interface and section 9 of the synchronous one. What can be wrong with one source stands in ``sources``.
"""

from __future__ import annotations

from typing import ClassVar


class DashscribeError(Exception):
    """Base of all errors of this package: ``DashscribeError(detail)``; survives pickling."""

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500
    text: ClassVar[str] = "An internal error has occured, please try again later or contact service support."
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail

    @property
    def message(self) -> str:
        """The fixed text followed by the detail."""
        return joined(self.text, self.detail)

    def __str__(self) -> str:
        return self.detail or self.text


def joined(text: str, detail: str) -> str:
    """Two sentences, the first of which may lack its end: it is kept as it is, since clients match on it."""
    if not text or not detail:
        return text or detail
    return f"{text} {detail}" if text.endswith((".", "!", "！")) else f"{text}. {detail}"


# --- a request that is refused -------------------------------------------------------------------------------------


class InvalidParameterError(DashscribeError):
    """A parameter of the wrong type or out of range."""

    code = "InvalidParameter"
    status = 400
    text = "Required parameter(X) missing or invalid, please check the request parameters."

    def __init__(self, detail: str = "", parameter: str = "") -> None:
        super().__init__(detail)
        self.args = (detail, parameter)
        self.parameter = parameter

    @property
    def message(self) -> str:
        """The fixed text with the parameter's name in place of the X."""
        return joined(self.text.replace("(X)", f"({self.parameter})" if self.parameter else ""), self.detail)


class MissingFileUrlsError(DashscribeError):
    """``input.file_urls`` is missing, empty or no array."""

    code = "InvalidParameter"
    status = 400
    text = "input must contain file_urls"


class UrlError(DashscribeError):
    """``input.file_url`` is no URL, or the model does not belong to this interface."""

    code = "InvalidParameter"
    status = 400
    text = "url error, please check url！"


class InvalidBodyError(DashscribeError):
    """The body is unusable as a whole: nested too deep, not an object, not UTF-8."""

    code = "InvalidParameter"
    status = 400
    text = "Required body invalid, please check the request body format."


class MethodNotSupportedError(DashscribeError):
    """The path exists, the HTTP method does not."""

    code = "InvalidParameter"
    status = 400
    text = "Request method is not supported."

    @property
    def message(self) -> str:
        """The service's sentence with the method in it; ``detail`` is the method's name."""
        return f"Request method '{self.detail}' is not supported." if self.detail else self.text


class EmptyModelError(DashscribeError):
    """No ``model``."""

    code = "BadRequest.EmptyModel"
    status = 400
    text = 'Required parameter "model" missing from request.'


class EmptyInputError(DashscribeError):
    """No ``input``."""

    code = "BadRequest.EmptyInput"
    status = 400
    text = "Required input parameter missing from request."


class EmptyParametersError(InvalidParameterError):
    """No ``parameters``, which the models that read ``input_audio`` need."""

    code = "BadRequest.EmptyParameters"
    text = 'Required parameter "parameters" missing from request.'


class NoUserMessageError(InvalidParameterError):
    """No message of the role ``user`` among ``input.messages``, or no messages at all."""

    text = "The input messages do not contain elements with the role of user."


class ContentPartError(InvalidParameterError):
    """A part of a message's content that is of no use there, or of no kind that is known."""

    text = "The item of content should be a message of a certain modal."


class IllegalInputError(DashscribeError):
    """``input`` is no object, or the body is no JSON."""

    code = "BadRequest.IllegalInput"
    status = 400
    text = "The input parameter requires json format."


class TooLargeError(DashscribeError):
    """The body is larger than the reader takes."""

    code = "BadRequest.TooLarge"
    status = 400
    text = "Payload Too Large."


class UnsupportedOperationError(DashscribeError):
    """Cancel of a task that is not waiting."""

    code = "UnsupportedOperation"
    status = 400
    text = "Failed to cancel the task, please confirm if the task is in PENDING status."


class ResourceNotExistError(DashscribeError):
    """A call about a hotword list that its owner does not have."""

    code = "BadRequest.ResourceNotExist"
    status = 400
    text = "The Required resource not exist."


class ListQuotaError(DashscribeError):
    """More hotword lists than an owner may have; the service says so with 400, not 429."""

    code = "Throttling.AllocationQuota"
    status = 400
    text = "Free allocated quota exceeded."


class InvalidApiKeyError(DashscribeError):
    """No key, or one that is unknown or revoked."""

    code = "InvalidApiKey"
    status = 401
    text = "Invalid API-key provided."


class MissingApiKeyError(InvalidApiKeyError):
    """No ``Authorization: Bearer`` header at all."""

    text = "No API-key provided."


class SynchronousCallError(DashscribeError):
    """A task was submitted without ``X-DashScope-Async: enable``."""

    code = "AccessDenied"
    status = 403
    text = "current user api does not support synchronous calls."


class AsynchronousCallError(DashscribeError):
    """``X-DashScope-Async: enable`` on a synchronous path."""

    code = "AccessDenied"
    status = 403
    text = "current user api does not support asynchronous calls."


class AccessDeniedError(DashscribeError):
    """The key is good, but not for this call."""

    code = "AccessDenied"
    status = 403
    text = "Access denied."


class ModelNotFoundError(DashscribeError):
    """An unknown model, or one for which no installed engine can stand; ``model`` is its name where that is known."""

    code = "ModelNotFound"
    status = 404
    text = "Model can not be found."

    def __init__(self, detail: str = "", model: str = "") -> None:
        super().__init__(detail)
        self.args = (detail, model)
        self.model = model


class UnsupportedModelError(DashscribeError):
    """A model that the OpenAI-compatible chat interface does not take; ``detail`` is its name."""

    code = "ModelNotSupported"
    status = 404
    text = "Unsupported model for OpenAI compatibility mode."

    @property
    def message(self) -> str:
        """The service's sentence with the model in it."""
        return f"Unsupported model {self.detail} for OpenAI compatibility mode." if self.detail else self.text


class FormatMissingError(InvalidParameterError):
    """What the OpenAI-compatible chat interface says first to a model of another interface: no ``format``."""

    text = "<400> InternalError.Algo.InvalidParameter: format is empty"


class NotTranslatedError(DashscribeError):
    """Text in another language than the one spoken is wanted, and no engine here translates."""

    code = "InvalidParameter"
    status = 400
    text = "Translation is not available."


class NotFoundError(DashscribeError):
    """No such path, or a hotword list that does not exist."""

    code = "NotFound"
    status = 404
    text = "Not found!"


class ConflictError(DashscribeError):
    """An ``Idempotency-Key`` that was used for another body."""

    code = "Conflict"
    status = 409
    text = "The request conflicts with an earlier one."


class NotRetriedError(DashscribeError):
    """A task, or a stage of it, that cannot be done again as things are; the detail says why and what can be done."""

    code = "Conflict"
    status = 409
    text = "The task cannot be retried."


class EditedMeanwhileError(ConflictError):
    """An edit of a revision that is not the current one; the detail names that one."""

    text = "The transcript was changed meanwhile."


class NoTranscriptError(DashscribeError):
    """A recording without a transcript: not yet, not any more, or never; the detail says which."""

    code = "Conflict"
    status = 409
    text = "The recording has no transcript."


class UploadBusyError(DashscribeError):
    """An upload to which another request is adding."""

    code = "Conflict"
    status = 423
    text = "The request conflicts with another one."
    retryable = True


class NoRoomError(DashscribeError):
    """The disk is at its reserve: nothing more is received."""

    code = "InternalError.FileUpload"
    status = 507
    text = "The file cannot be stored."
    retryable = True


class RateLimitError(DashscribeError):
    """Too many requests; ``retry_after_s`` goes into the ``Retry-After`` header."""

    code = "Throttling.RateQuota"
    status = 429
    text = "Requests rate limit exceeded, please try again later."
    retryable = True

    def __init__(self, detail: str = "", retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.args = (detail, retry_after_s)
        self.retry_after_s = retry_after_s


class QuotaError(RateLimitError):
    """A key has used its sound of this month; ``retry_after_s`` leads to the next one."""

    code = "Throttling.AllocationQuota"
    text = "Allocated quota exceeded, please increase your quota limit."
    retryable = False


class BusyError(RateLimitError):
    """So many calls are at work, or bodies come in, of all owners or of this one, that this one gets no turn."""


class AdmissionError(RateLimitError):
    """No task is accepted for now: the server would not get to it soon."""

    code = "Throttling"
    text = "Requests throttling triggered."


class QueueFullError(AdmissionError):
    """As many files wait, of this owner or of all, as the operator wants to wait."""


class DiskLowError(AdmissionError):
    """The disk is at its reserve, so that nothing could be prepared."""


class NotReadyError(DashscribeError):
    """Something that is being made for the caller; ``retry_after_s`` goes into the ``Retry-After`` header."""

    code = "NotReady"
    status = 503
    text = "It is being prepared, please try again later."
    retryable = True

    def __init__(self, detail: str = "", retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.args = (detail, retry_after_s)
        self.retry_after_s = retry_after_s


class DatabaseAwayError(DashscribeError):
    """The database does not answer, has no connection left, or ended the session; a query of tasks says so with 500."""

    status = 503
    retryable = True
    retry_after_s = 1


class StoppingError(DashscribeError):
    """The server stops, and has waited for this answer as long as it will."""

    status = 503
    retryable = True
    retry_after_s = 1


class CallTimeoutError(DashscribeError):
    """A synchronous call took longer than its limit."""

    code = "RequestTimeOut"
    text = "Request timed out, please try again later."
    retryable = True


# --- inside ---------------------------------------------------------------------------------------------------------


class HostError(DashscribeError):
    """A child process failed at a piece of work: it died, hung or reported an exception."""

    retryable = True


class HostDiedError(HostError):
    """A child process ended while it was working; the detail names the exit status or signal."""


class HostTimeoutError(HostError):
    """A child process gave no sign for longer than its limit and was killed."""


class InvariantError(DashscribeError):
    """A result breaks a promise: times out of bounds or order, words that spell another text, a ledger with holes."""


class EngineUnavailableError(DashscribeError):
    """An engine's package or weights are not installed; the detail names the command that installs them."""

    code = "ModelUnavailable"
    status = 503
    text = "Model is unavailable, please try again later."


class EngineDownError(EngineUnavailableError):
    """An engine that asks somebody else gets no answer, or none that it can use; the detail says what came instead.

    No fault of the piece of work that found it out: another engine may do that, or this one later.
    """

    retryable = True


class WeightsError(DashscribeError):
    """A folder or file with model weights that cannot be used; the detail names the file and the remedy."""

    code = "ModelUnavailable"
    status = 503
    text = "Model is unavailable, please try again later."


class StageError(DashscribeError):
    """A stage that was to be done again failed, or would only make the result worse: that stays as it is."""


class ConfigError(DashscribeError):
    """A setting that cannot be used; the detail names the setting, its value and its origin."""
