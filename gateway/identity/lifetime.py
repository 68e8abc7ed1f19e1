"""How long a session lasts: the rule behind `session-expired`, from the Plano API's pages."""

from datetime import datetime, timedelta

from gateway.values import Session

MAX_AGE = timedelta(days=7)
MAX_IDLE = timedelta(hours=72)


def ends_at(session: Session) -> datetime | None:
    """When the session ends if it is not used again; None if its user chose `remember_me`."""
    if session.remember_me:
        return None
    return min(session.created_at + MAX_AGE, session.last_used_at + MAX_IDLE)


def is_over(session: Session, now: datetime) -> bool:
    """Whether the session is older than 7 days, or was not used for 72 hours."""
    end = ends_at(session)
    return end is not None and now > end
