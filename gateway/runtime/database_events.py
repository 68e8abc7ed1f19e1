"""The events of the database and what is in front of it; `events` has them with all others."""

from gateway.runtime.emitter import Event

DATABASE_DOWN = Event(
    "database.down",
    "error",
    ("part", "reason"),
    "The database does not answer, or the pooler before it (`part`); calls that need it are "
    "refused until it does. Once for each outage.",
)
DATABASE_UP = Event(
    "database.up",
    "info",
    ("seconds",),
    "The database answers again, after so many seconds. The parts of the gateway that need it log "
    "nothing in between.",
)
DATABASE_REFUSES = Event(
    "database.refuses",
    "error",
    ("sqlstate", "reason"),
    "The database refuses statements: its disk or memory is full, or its time-outs expire. Calls "
    "that meet this are refused. Once for each code, until ten seconds pass without a refusal. "
    "Raises a notification.",
)
DATABASE_RETRIED = Event(
    "database.retried",
    "info",
    ("reason",),
    "A transaction is tried again: the server rolled it back, after a deadlock for example, or no "
    "longer accepts writes, after a fail-over.",
)
DATABASE_ASYNCHRONOUS = Event(
    "database.asynchronous",
    "warning",
    ("standbys", "reason"),
    "The database has standbys, and commits before any of them has the data: a fail-over loses "
    "acknowledged writes. Logged by one worker, when it finds this. Raises a notification.",
)
DATABASE_REPLICA_LOST = Event(
    "database.replica-lost",
    "warning",
    ("replica", "reason"),
    "A replica does not answer, or is not a standby of the primary; the primary answers its reads.",
)
DATABASE_REPLICA_BACK = Event(
    "database.replica-back", "info", ("replica",), "A lost replica answers again."
)
DATABASE_LISTEN_REFUSED = Event(
    "database.listen-refused",
    "warning",
    ("channels", "reason"),
    "The server answers but refuses LISTEN; the worker finds changes by polling every second. Set "
    "`GATEWAY_LISTEN_DATABASE_URL` to the address of the primary.",
)
DATABASE_COMMITS_STALLED = Event(
    "database.commits-stalled",
    "error",
    (),
    "The database answers but does not confirm commits: a synchronous standby is lost, or a disk "
    "does not answer. Writes are refused until commits are confirmed; reads continue.",
)
DATABASE_COMMITS_RESUMED = Event(
    "database.commits-resumed",
    "info",
    ("seconds",),
    "The database confirms commits again, after so many seconds.",
)
