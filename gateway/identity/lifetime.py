"""How long a session lasts: the rule behind `session-expired`, from the Plano API's documentation.

Services use this module too: `from gateway import lifetime`.
"""

from datetime import datetime, timedelta

from gateway.values import Session

MAX_AGE = timedelta(days=7)
MAX_IDLE = timedelta(hours=72)


def ends_at(session: Session) -> datetime | None:
    """When the session expires if it is not used again; None for a session with `remember_me`.

    A session that had expired before `remember_me` was switched on stays expired.
    """
    since = session.remember_since
    if session.remember_me and since is None:
        return None
    end = min(session.created_at + MAX_AGE, session.last_used_at + MAX_IDLE)
    return None if session.remember_me and since and end >= since else end


def is_over(session: Session, now: datetime) -> bool:
    """Whether the session is older than 7 days or has been idle for more than 72 hours.

    With `remember_me`: whether it was so when `remember_me` was switched on.
    """
    end = ends_at(session)
    return end is not None and now > end
