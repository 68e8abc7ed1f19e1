"""What the log says of a request that met an unexpected error."""

from typing import Any

import pytest
from support import builders

from gateway.database.pool import Pool
from gateway.notifications.recorder import Recorder
from gateway.runtime import events
from gateway.stages.respond import Trace
from gateway.values import Valid


def _raise(error: Exception) -> None:
    raise error


def logged(error: Exception, params: dict[str, Any]) -> str:
    """The text of an error in the log, for a call with these params."""
    trace = Trace()
    trace.match = builders.match()
    trace.valid = Valid(params, (), None, None)
    texts: list[str] = []
    unsubscribe = events.subscribe(lambda _, fields: texts.append(fields["error"]))
    try:
        _raise(error)
    except Exception as raised:  # noqa: BLE001 - any
        Recorder(Pool("", 1)).record_crash(raised, "request-1", trace)
    finally:
        unsubscribe()
    [text] = texts
    return text


@pytest.mark.parametrize(
    "params",
    [
        {"name": "ada@example.com hunter2"},
        {"order": {"notes": ["ada@example.com hunter2"]}},
        {"part": "hunter2", "whole": "ada@example.com hunter2"},
    ],
    ids=["a param", "a nested one", "one inside another"],
)
def test_crash_text_does_not_repeat_a_param(params: dict[str, Any]) -> None:
    text = logged(ValueError("invalid literal for int(): 'ada@example.com hunter2'"), params)
    assert text == """ValueError("invalid literal for int(): '…'")"""


def test_crash_text_does_not_repeat_a_param_that_repr_escapes() -> None:
    assert "lines" not in logged(ValueError("two\nlines"), {"name": "two\nlines"})


def test_crash_text_keeps_what_the_caller_did_not_send() -> None:
    assert logged(KeyError("stage"), {"n": 1, "short": "st"}) == "KeyError('stage')"


async def test_recorder_resolves_again_what_began_and_ended_while_it_wrote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder, written = Recorder(Pool("", 1)), list[str]()
    fields = {"service": "tours", "endpoint": "http://tours:9000", "address": "10.0.0.5"}

    async def fetch(query: str, *_: object) -> None:
        written.append(query)
        if len(written) == 1:
            recorder.read(events.SERVICE_ENDPOINT_EJECTED, {**fields, "reason": "it hangs"})
            recorder.read(events.SERVICE_ENDPOINT_RETURNED, fields)

    monkeypatch.setattr(recorder, "_fetch", fetch)
    recorder.read(events.SERVICE_ENDPOINT_RETURNED, fields)
    for _ in range(3):
        await recorder.flush()
    assert written == ["resolve_ended", "raise", "resolve_ended"]
