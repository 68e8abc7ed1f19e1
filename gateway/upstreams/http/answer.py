"""What a service's answer means: a reply, a documented refusal, or a breach of the contract."""

import re
from typing import Any

import orjson

from gateway import statuses
from gateway.runtime.http_client import HttpAnswer
from gateway.upstreams.call import Call
from gateway.values import Rejection, Reply, ServiceAnswerError

OK = 200
UNAUTHORIZED = 401
UNAVAILABLE = frozenset((502, 503, 504))
_REDIRECTS = range(300, 400)
_SLUG = re.compile(r"[a-z][a-z0-9-]{0,62}")
_SECONDS = re.compile(r"[0-9]{1,4}")
_NOT_PASSED_ON = frozenset((statuses.ACTION_SUCCESSFUL, statuses.APPLICATION_CRASH))
"""A service that answers them did not refuse the call."""


class UnavailableAnswerError(Exception):
    """The service, or a proxy in front of it, says that it is unavailable."""

    def __init__(self, status: int, retry_after: int | None) -> None:
        super().__init__(f"it answered HTTP {status}")
        self.retry_after = retry_after


def is_fault(answer: HttpAnswer, result: Reply | Rejection) -> bool:
    """Whether an answer counts towards the ejection of its endpoint.

    A route's own status is the service's considered answer, whatever its HTTP code is.
    """
    is_common = isinstance(result, Rejection) and result.slug in statuses.COMMON
    return answer.status in UNAVAILABLE and is_common


def read(answer: HttpAnswer, call: Call) -> Reply | Rejection:
    """The reply or the refusal in an answer.

    Raises UnavailableAnswerError, and ServiceAnswerError for what the route does not document.
    """
    body = _parsed(answer.body)
    if answer.status == OK:
        if isinstance(body, dict) and "data" in body:
            return Reply(body["data"])
        raise _undocumented(call, f"HTTP 200 without an object that has `data`{_why(answer)}")
    slug = body.get("status") if isinstance(body, dict) else None
    if isinstance(slug, str) and slug in call.route.statuses and slug not in _NOT_PASSED_ON:
        return _rejection(slug, body, answer, call)
    if answer.status in UNAVAILABLE:
        raise UnavailableAnswerError(answer.status, _retry_after(answer))
    raise _undocumented(call, f"{_what(answer.status, slug)}{_why(answer)}")


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - JSON is any
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _rejection(slug: str, body: dict[str, Any], answer: HttpAnswer, call: Call) -> Rejection:
    message, errors = body.get("message"), body.get("errors") or []
    if not (message is None or isinstance(message, str)) or not _are_errors(errors):
        what = f"the status {slug} with a `message` that is not text, or `errors` without texts"
        raise _undocumented(call, what)
    entries = [Rejection.error(error["attr"], error["message"]) for error in errors]
    return Rejection(slug, message, errors=entries, retry_after=_retry_after(answer))


def _are_errors(errors: Any) -> bool:  # noqa: ANN401
    return isinstance(errors, list) and all(map(_is_error, errors))


def _is_error(error: Any) -> bool:  # noqa: ANN401
    return isinstance(error, dict) and all(
        isinstance(error.get(name), str) for name in ("attr", "message")
    )


def _retry_after(answer: HttpAnswer) -> int | None:
    """The seconds of `Retry-After`; None if it has none, or a date."""
    text = answer.headers.get("Retry-After", "")
    return int(text) if _SECONDS.fullmatch(text) else None


def _what(status: int, slug: object) -> str:
    if status in _REDIRECTS:
        return f"HTTP {status}, a redirect, which is not followed"
    if isinstance(slug, str) and _SLUG.fullmatch(slug):
        return f"HTTP {status} with the status {slug}, which the route does not document"
    return f"HTTP {status} without a documented `status`"


def _why(answer: HttpAnswer) -> str:
    """The likely reason of an answer that cannot be used, as the end of a clause."""
    if "Content-Encoding" in answer.headers:
        return ": it is encoded, such as by gzip, although the gateway accepts no encoding"
    if answer.status == UNAUTHORIZED:
        return ": it may have another secret, so that it refuses the signature"
    return ""


def _undocumented(call: Call, what: str) -> ServiceAnswerError:
    service, _, action = call.route.handler.partition(".")
    return ServiceAnswerError(f"The service {service} answered {action} with {what}.")


def unreadable(call: Call, reason: str) -> ServiceAnswerError:
    """The error of an answer that cannot be read; `reason` is a clause such as HttpError's."""
    service, _, action = call.route.handler.partition(".")
    return ServiceAnswerError(f"The service {service} answered {action}, but {reason}.")
