"""The catalogue of statuses: every answer the gateway can give, in pipeline order.

The command line, the documentation and the log levels are all made from this one table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Fault = Literal["none", "caller", "gateway", "dependency"]


@dataclass(frozen=True, slots=True)
class Status:
    """One documented answer.

    `slug` stands in the answer's `status`, `http` is its HTTP code and its `code`.
    `fault` says who can mend it; log level, notifications and alerts follow from it.
    `seed` is true for the statuses that the Plano API's own pages document.
    """

    slug: str
    http: int
    stage: str
    fault: Fault
    meaning: str
    seed: bool = False


_ALL = (
    Status(
        "route-non-existent",
        500,
        "match",
        "caller",
        "No route of the registry has this method and path.",
        seed=True,
    ),
    Status(
        "identify-request-error",
        500,
        "edge, match",
        "gateway",
        "The gateway failed before it knew the route, for example because no registry is loaded.",
        seed=True,
    ),
    Status(
        "payload-too-large",
        413,
        "decode",
        "caller",
        "The body is larger than the route allows.",
    ),
    Status(
        "invalid-content-type",
        400,
        "decode",
        "caller",
        "There is a body, and its content type is missing or is not one that the gateway reads.",
        seed=True,
    ),
    Status(
        "invalid-encoded-params",
        400,
        "decode",
        "caller",
        "The params cannot be decoded: not base64 on a sensitive route, not JSON, not UTF-8.",
        seed=True,
    ),
    Status(
        "no-params-decoded",
        400,
        "decode",
        "caller",
        "The body was decoded and holds no params.",
        seed=True,
    ),
    Status(
        "route-not-found",
        500,
        "resolve",
        "caller",
        "The route is registered and not deployed yet.",
        seed=True,
    ),
    Status(
        "service-not-found",
        500,
        "resolve",
        "gateway",
        "The route is deployed, but its service is not, or this worker does not have its code.",
        seed=True,
    ),
    Status(
        "missing-param",
        400,
        "authenticate, validate",
        "caller",
        "A required param is absent; `errors` names each one.",
        seed=True,
    ),
    Status(
        "invalid-token",
        401,
        "authenticate",
        "caller",
        "The token is unknown, revoked, or of a kind that the route does not take.",
        seed=True,
    ),
    Status(
        "session-expired",
        401,
        "authenticate",
        "caller",
        "The session is older than 7 days or was not used for 72 hours, "
        "and its user did not choose `remember_me`.",
        seed=True,
    ),
    Status(
        "client-required",
        401,
        "authenticate",
        "caller",
        "The user has no client, employee or liaison record and so no role. "
        "The answer carries `session`, whose token is what registering as a client needs.",
        seed=True,
    ),
    Status(
        "session-required",
        400,
        "authenticate",
        "caller",
        "The route works for a user, and the token belongs to an application.",
    ),
    Status(
        "permission-denied",
        403,
        "authenticate",
        "caller",
        "The caller's role, or the application's token, may not use this route.",
    ),
    Status(
        "rate-limit-exceeded",
        429,
        "authenticate",
        "caller",
        "Too many calls or guesses; `Retry-After` says when to come back.",
    ),
    Status(
        "invalid-param",
        400,
        "validate, service",
        "caller",
        "A param has a wrong type, format or value, or names a row that does not exist; "
        "`errors` names each one.",
        seed=True,
    ),
    Status(
        "idempotency-conflict",
        409,
        "dispatch",
        "caller",
        "A request with the same idempotency key is in flight.",
    ),
    Status(
        "idempotency-mismatch",
        422,
        "dispatch",
        "caller",
        "The idempotency key was used before with other params.",
    ),
    Status(
        "action-successful",
        200,
        "service",
        "none",
        "Done; what the action returns is under `data`.",
        seed=True,
    ),
    Status(
        "mandrill-email-failed",
        500,
        "service",
        "dependency",
        "Mail could not be sent; it is kept, and a notification is raised.",
        seed=True,
    ),
    Status(
        "service-timeout",
        504,
        "service",
        "gateway",
        "The route's deadline passed before the work reached the database; nothing was changed.",
    ),
    Status(
        "service-unavailable",
        503,
        "any",
        "dependency",
        "A dependency is down or the gateway sheds load; `Retry-After` says when to come back.",
    ),
    Status(
        "application-crash",
        500,
        "any after match",
        "gateway",
        "An unexpected fault; the request id leads to its log line.",
        seed=True,
    ),
)


def _by_slug(statuses: tuple[Status, ...]) -> dict[str, Status]:
    table: dict[str, Status] = {}
    for status in statuses:
        if status.slug in table:
            message = f"the status {status.slug} is in the catalogue twice"
            raise ValueError(message)
        table[status.slug] = status
    return table


COMMON = _by_slug(_ALL)
SUCCESS = COMMON["action-successful"]


def own(statuses: dict[str, tuple[int, str]]) -> dict[str, Status]:
    """Statuses that a route adds to the common ones, from slug → (HTTP code, meaning)."""
    return {
        slug: Status(slug, http, "service", "caller", meaning)
        for slug, (http, meaning) in statuses.items()
    }


def catalogue() -> Iterator[Status]:
    """All common statuses, in pipeline order."""
    return iter(_ALL)
