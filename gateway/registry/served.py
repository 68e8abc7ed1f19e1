"""The table that a request reads: the current one, once it is new enough for the client."""

from gateway import statuses
from gateway.registry.follow import Registry
from gateway.registry.table import Table
from gateway.values import Rejection, Request

MIN_REVISION = b"x-min-registry-revision"


def served_table(registry: Registry) -> Table:
    """The current table; each request reads it once, so that it never sees two revisions.

    Raises Rejection: identify-request-error while no registry could be loaded.
    """
    table = registry.current
    if table is None:
        raise Rejection(statuses.IDENTIFY_REQUEST_ERROR)
    return table


async def wait_for_min_revision(request: Request, registry: Registry) -> None:
    """Wait until the revision that the request's header names is served.

    A client that has just applied a revision must not be served an older one. Raises Rejection:
    invalid-param for an unknown revision, service-unavailable if it is not served in time.
    """
    text = request.headers[MIN_REVISION]
    is_bigint = text.isdigit() and len(text) < 19  # noqa: PLR2004
    outcome = await registry.wait_for(int(text)) if is_bigint else "unknown"
    if outcome == "unknown":
        unknown = Rejection.error(MIN_REVISION.decode(), "the registry has no such revision yet")
        raise Rejection(statuses.INVALID_PARAM, errors=[unknown])
    if outcome == "late":
        late = "The requested revision is not served here yet."
        raise Rejection(statuses.SERVICE_UNAVAILABLE, late)
