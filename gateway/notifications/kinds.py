"""The kinds of notifications; the documentation's table and the console's advice come from here."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Severity: TypeAlias = Literal["warning", "error", "critical"]


class Kind(NamedTuple):
    """One row: what it means, when it is resolved, and what an operator does about it.

    `title` is how the verdict of the console begins.
    """

    name: str
    severity: Severity
    title: str
    meaning: str
    resolved: str
    advice: str


KINDS: tuple[Kind, ...] = (
    Kind(
        "mandrill-email-failed",
        "error",
        "Mail fails",
        "A mail was not sent; one notification for each route, template and error.",
        "When none of these mails is outstanding, or by hand.",
        "Remove the cause that the message names: publish the template, renew the API key, or wait "
        "for Mandrill. Then retry its messages; the notification resolves itself.",
    ),
    Kind(
        "application-crash",
        "error",
        "A service crashes",
        "The code raised an unexpected error, or an `http` service gave an answer that its route "
        "does not document; one for each route and place in the code, or kind of answer.",
        "By hand.",
        "Find the request in the log: the event `request.crashed` has the error and its frames. "
        "Deploy a fix, or roll the registry back if the crashes began with a revision; then "
        "resolve.",
    ),
    Kind(
        "answer-misfit",
        "warning",
        "Answers do not fit `returns`",
        "An answer did not fit the route's `returns`; the caller got it.",
        "By hand.",
        "Correct the service, or the schema in `schemas/<service>/<action>.returns.json`; "
        "clients rely on it. Then resolve.",
    ),
    Kind(
        "endpoint-ejected",
        "error",
        "An endpoint does not answer",
        "A worker ejected an endpoint of an `http` service after five failed calls or three failed "
        "health checks in a row; one for each endpoint and address.",
        "When the endpoint answers a worker again, when the registry or the DNS does not have it "
        "any more, or by hand.",
        "Check the service at that address: its process, its log, and the network between. "
        "`gateway services` shows what the workers see. The gateway probes the endpoint, and uses "
        "it again by itself. If it will not come back, remove it from `endpoints`, and apply.",
    ),
    Kind(
        "endpoint-unresolved",
        "error",
        "A service's name cannot be resolved",
        "A worker cannot resolve the name in an endpoint of an `http` service, or it resolves to "
        "an address that is refused; one for each endpoint.",
        "When a worker resolves the name again, when the registry does not have the endpoint any "
        "more, or by hand.",
        "Check the name in `endpoints`, and the DNS that the gateway's machine uses. Until then "
        "calls go to the last known addresses, and without any they answer "
        "`service-unavailable`.",
    ),
    Kind(
        "secret-unusable",
        "error",
        "A service has no secret",
        "The environment variable that signs the calls of an `http` service is not set in a "
        "worker, or malformed; one for each service and variable.",
        "By hand.",
        "Set the variable for `gateway serve`, restart it, and resolve. Until then calls of the "
        "service answer `service-unavailable`, and nothing is sent to it.",
    ),
    Kind(
        "worker-late",
        "error",
        "Workers are late",
        "A worker cannot build the newest revision, or has not served it for 10 s.",
        "When all live workers serve it, or by hand.",
        "The worker keeps serving the whole previous revision. Read its problem in the tab "
        "Workers. If the new revision causes it, go back to the previous one with "
        "`gateway rollback`.",
    ),
    Kind(
        "registry-went-back",
        "error",
        "The database went back",
        "The database no longer has the revision that the workers served: it was restored, or a "
        "replica without the last commits took over.",
        "By hand.",
        "Apply the manifest again: what was applied after that state is lost. Then resolve.",
    ),
    Kind(
        "replication-asynchronous",
        "warning",
        "Commits do not wait for a standby",
        "PostgreSQL has standbys, and commits before any of them has the data: after a fail-over, "
        "acknowledged writes may be lost, and their ids given to other rows.",
        "When commits wait for a standby, when no standby is left, or by hand; then it is not "
        "raised again for 90 days.",
        "Set `synchronous_standby_names`, such as `ANY 1 (*)`, and leave `synchronous_commit` at "
        "`on`. If the standbys are only for reads and never take over, resolve the "
        "notification.",
    ),
    Kind(
        "database-refuses",
        "critical",
        "The database refuses statements",
        "PostgreSQL runs and refuses statements: its disk or memory is full, or "
        "`statement_timeout`, `lock_timeout` or the like expires. One for each SQLSTATE.",
        "By hand.",
        "Read the server's log. Free disk or memory, or end the statement that holds the lock "
        "(`pg_stat_activity`). Then resolve.",
    ),
    Kind(
        "database-lost",
        "critical",
        "The database was lost",
        "A worker had no database.",
        "When the database is back, or by hand.",
        "Start the server, or let the replica take over; workers reconnect by themselves.",
    ),
)

BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}


def title(name: str) -> str:
    """The title of a kind; the name itself if only another release knows the kind."""
    kind = BY_NAME.get(name)
    return kind.title if kind else name
