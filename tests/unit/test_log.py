"""The log: a line that cannot be written does not leak its values."""

import io
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr

import pytest

from gateway.runtime import log

SECRET = "a value that no log may contain"


class Stuck(io.StringIO):
    """A stream whose first write fails, as that of a full pipe."""

    stuck = True

    def write(self, text: str) -> int:
        if self.stuck:
            self.stuck = False
            raise BlockingIOError
        return super().write(text)


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Undo `configure`, which changes the whole process."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:], logging.raiseExceptions = before[0], before[2]
    root.setLevel(before[1])


def test_log_line_that_cannot_be_written_leaks_nothing() -> None:
    with redirect_stderr(Stuck()) as out:
        log.configure("info")
        for _ in range(2):
            error = RuntimeError(SECRET)
            logging.getLogger("gateway").error("request-1: %s", "RuntimeError", exc_info=error)
    assert "request-1" in out.getvalue()
    assert SECRET not in out.getvalue()
