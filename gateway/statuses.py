"""The catalogue of statuses: every answer that the gateway can give, in pipeline order.

The command line, the documentation and the log levels are derived from this table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Fault = Literal["none", "caller", "gateway", "dependency"]

# Constants, so that the type checker finds a misspelt slug before a request does.
INVALID_REQUEST: Final = "invalid-request"
URI_TOO_LONG: Final = "uri-too-long"
HEADERS_TOO_LARGE: Final = "headers-too-large"
ROUTE_NON_EXISTENT: Final = "route-non-existent"
IDENTIFY_REQUEST_ERROR: Final = "identify-request-error"
PAYLOAD_TOO_LARGE: Final = "payload-too-large"
INVALID_CONTENT_TYPE: Final = "invalid-content-type"
INVALID_ENCODED_PARAMS: Final = "invalid-encoded-params"
NO_PARAMS_DECODED: Final = "no-params-decoded"
ROUTE_NOT_FOUND: Final = "route-not-found"
SERVICE_NOT_FOUND: Final = "service-not-found"
MISSING_PARAM: Final = "missing-param"
INVALID_TOKEN: Final = "invalid-token"  # noqa: S105 - a slug
SESSION_EXPIRED: Final = "session-expired"
CLIENT_REQUIRED: Final = "client-required"
SESSION_REQUIRED: Final = "session-required"
PERMISSION_DENIED: Final = "permission-denied"
RATE_LIMIT_EXCEEDED: Final = "rate-limit-exceeded"
INVALID_PARAM: Final = "invalid-param"
IDEMPOTENCY_CONFLICT: Final = "idempotency-conflict"
IDEMPOTENCY_MISMATCH: Final = "idempotency-mismatch"
ACTION_SUCCESSFUL: Final = "action-successful"
MANDRILL_EMAIL_FAILED: Final = "mandrill-email-failed"
SERVICE_TIMEOUT: Final = "service-timeout"
SERVICE_UNAVAILABLE: Final = "service-unavailable"
APPLICATION_CRASH: Final = "application-crash"


@dataclass(frozen=True, slots=True)
class Status:
    """One documented answer.

    `slug` is the answer's `status`, `http` its HTTP code and its `code`. `fault` says who can fix
    it; log level, notifications and alerts follow from it. `seed` is true for the statuses that
    the Plano API's own pages document.
    """

    slug: str
    http: int
    stage: str
    fault: Fault
    meaning: str
    seed: bool = False


_ALL = (
    Status(
        INVALID_REQUEST,
        400,
        "edge",
        "caller",
        "What was sent is not one well-formed HTTP request; the connection is closed.",
    ),
    Status(
        URI_TOO_LONG,
        414,
        "edge",
        "caller",
        "The request target is longer than 8 KiB; the connection is closed.",
    ),
    Status(
        HEADERS_TOO_LARGE,
        431,
        "edge",
        "caller",
        "The head is larger than 32 KiB or has more than 100 headers; the connection is closed.",
    ),
    Status(
        ROUTE_NON_EXISTENT,
        500,
        "match",
        "caller",
        "No route has this method and path.",
        seed=True,
    ),
    Status(
        IDENTIFY_REQUEST_ERROR,
        500,
        "edge, match",
        "gateway",
        "The gateway failed before it identified the route, for example with no registry loaded.",
        seed=True,
    ),
    Status(
        PAYLOAD_TOO_LARGE,
        413,
        "decode",
        "caller",
        "The body is larger than the route allows.",
    ),
    Status(
        INVALID_CONTENT_TYPE,
        400,
        "decode",
        "caller",
        "The Content-Type of the body is missing or not supported; send `application/json` or "
        "`application/x-www-form-urlencoded`.",
        seed=True,
    ),
    Status(
        INVALID_ENCODED_PARAMS,
        400,
        "decode",
        "caller",
        "The params cannot be decoded: invalid JSON, invalid UTF-8, or not base64 on a sensitive "
        "route.",
        seed=True,
    ),
    Status(
        NO_PARAMS_DECODED,
        400,
        "decode",
        "caller",
        "The body was decoded but contains no params.",
        seed=True,
    ),
    Status(
        ROUTE_NOT_FOUND,
        500,
        "resolve",
        "caller",
        "The route is registered but not deployed yet.",
        seed=True,
    ),
    Status(
        SERVICE_NOT_FOUND,
        500,
        "resolve",
        "gateway",
        "The route is deployed, but its service is not, or this worker lacks the service's code.",
        seed=True,
    ),
    Status(
        MISSING_PARAM,
        400,
        "authenticate, validate",
        "caller",
        "A required param is missing; `errors` names each one.",
        seed=True,
    ),
    Status(
        INVALID_TOKEN,
        401,
        "authenticate",
        "caller",
        "The token is unknown, revoked, or of a kind that the route does not accept.",
        seed=True,
    ),
    Status(
        SESSION_EXPIRED,
        401,
        "authenticate",
        "caller",
        "The session is older than 7 days or was not used for 72 hours, "
        "and its user has not chosen `remember_me`; log in again.",
        seed=True,
    ),
    Status(
        CLIENT_REQUIRED,
        401,
        "authenticate",
        "caller",
        "The user has no client, employee or liaison record, and therefore no role. "
        "Register the user as a client with the token of `session` in this answer.",
        seed=True,
    ),
    Status(
        SESSION_REQUIRED,
        400,
        "authenticate",
        "caller",
        "The route requires a user's session, but the token belongs to an application.",
    ),
    Status(
        PERMISSION_DENIED,
        403,
        "authenticate",
        "caller",
        "The caller's role, or the application's token, is not permitted to call this route.",
    ),
    Status(
        RATE_LIMIT_EXCEEDED,
        429,
        "authenticate",
        "caller",
        "Too many calls, too many wrong passwords or tokens, or a large body too soon after a "
        "refused one; retry after the seconds in `Retry-After`.",
    ),
    Status(
        INVALID_PARAM,
        400,
        "validate, service",
        "caller",
        "A param has a wrong type, format or value, or names a row that does not exist; "
        "`errors` names each one.",
        seed=True,
    ),
    Status(
        IDEMPOTENCY_CONFLICT,
        409,
        "dispatch",
        "caller",
        "Another request with this Idempotency-Key is still running; retry when it has finished.",
    ),
    Status(
        IDEMPOTENCY_MISMATCH,
        422,
        "dispatch",
        "caller",
        "This Idempotency-Key was already used with other params.",
    ),
    Status(
        ACTION_SUCCESSFUL,
        200,
        "service",
        "none",
        "The action succeeded; its result, if any, is under `data`.",
        seed=True,
    ),
    Status(
        MANDRILL_EMAIL_FAILED,
        500,
        "service",
        "dependency",
        "A mail could not be sent; the gateway keeps it and raises a notification.",
        seed=True,
    ),
    Status(
        SERVICE_TIMEOUT,
        504,
        "service",
        "gateway",
        "The route's timeout passed before the work reached the database; nothing was changed.",
    ),
    Status(
        SERVICE_UNAVAILABLE,
        503,
        "any",
        "dependency",
        "A dependency is down or the gateway is overloaded; retry after the seconds in "
        "`Retry-After`.",
    ),
    Status(
        APPLICATION_CRASH,
        500,
        "any after match",
        "gateway",
        "An unexpected error; the log describes it under this request id.",
        seed=True,
    ),
)


def _by_slug(statuses: tuple[Status, ...]) -> dict[str, Status]:
    table: dict[str, Status] = {}
    for status in statuses:
        if status.slug in table:
            message = f"duplicate status in the catalogue: {status.slug}"
            raise ValueError(message)
        table[status.slug] = status
    return table


COMMON = _by_slug(_ALL)

DOCUMENTED = (
    *(ACTION_SUCCESSFUL, INVALID_TOKEN, SESSION_EXPIRED, CLIENT_REQUIRED, MISSING_PARAM),
    *(INVALID_PARAM, APPLICATION_CRASH, MANDRILL_EMAIL_FAILED, INVALID_CONTENT_TYPE),
    ROUTE_NON_EXISTENT,
)
"""The common statuses, in the order of the Plano API's own pages."""

UNCOMMON = (
    *(NO_PARAMS_DECODED, INVALID_ENCODED_PARAMS, ROUTE_NOT_FOUND, IDENTIFY_REQUEST_ERROR),
    SERVICE_NOT_FOUND,
)
"""Those that these pages list apart, as uncommon."""

SUCCESS = COMMON[ACTION_SUCCESSFUL]


def help_path(slug: str) -> str:
    """The page of the documentation, and the place on it, that explain a common status."""
    return f"/documentation/statuses#status.{slug}"


def route_statuses(statuses: dict[str, tuple[int, str]]) -> dict[str, Status]:
    """The statuses that a route adds to the common ones, from slug → (HTTP code, meaning)."""
    return {
        slug: Status(slug, http, "service", "caller", meaning)
        for slug, (http, meaning) in statuses.items()
    }


def catalogue() -> Iterator[Status]:
    """All common statuses, in pipeline order."""
    return iter(_ALL)
