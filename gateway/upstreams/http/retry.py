"""Retry: which failures may be tried again, without doing the work of a call twice."""

from gateway.upstreams.http.attempt import Failure


def may_retry(failure: Failure, *, is_repeatable: bool) -> bool:
    """Whether a call may be sent to another endpoint after this failure.

    What was sent may have been done, whatever happened then: only a call that reads, or one with an
    idempotency key, may be sent again.
    """
    return is_repeatable or not failure.is_sent
