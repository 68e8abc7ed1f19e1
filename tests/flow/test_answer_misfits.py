"""An answer that does not fit `returns`: what the caller gets, and what the operator sees."""

import httpx2
import pytest
from support.harness import Client, logged, serving
from support.mail import notifications, wait_for_rows
from support.probe import SECRET, actions, apply_probe

from gateway.notifications import recorder
from gateway.runtime import events
from gateway.stages import returns

RULE = "/properties/text/type"


async def misfit(client: Client) -> httpx2.Response:
    params = {"token": client.tokens["employee"], "text": SECRET}
    return await client.post("/api/v1/probe/misfit", params)


async def test_misfit_is_a_crash_where_all_answers_are_checked(
    probe: Client, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await misfit(probe)
    assert answer.json()["status"] == "application-crash"
    [crash] = logged(caplog, events.REQUEST_CRASHED)
    assert (crash["route"], crash["error"]) == ("probe.misfit", f"AnswerMisfitError('{RULE}')")
    assert SECRET not in answer.text + caplog.text


async def test_misfits_of_a_sample_are_one_notification(
    database: str,
    tokens: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(recorder, "FLUSH_INTERVAL", 0.05)
    monkeypatch.setattr(returns, "SAMPLE_INTERVAL", 0.0)
    await apply_probe(database)
    async with serving(database, tokens, actions=actions(), check_returns="sample") as client:
        answers = [await misfit(client) for _ in range(2)]
        await wait_for_rows(database, "select from gateway.notifications where count = 2", 1)
        [row] = await notifications(database)
    assert [answer.json()["data"] for answer in answers] == [{"text": SECRET}] * 2
    assert (row["kind"], row["severity"]) == ("answer-misfit", "warning")
    assert row["route"] == "probe.misfit"
    assert row["request_id"] == answers[-1].headers["x-request-id"]
    assert row["message"] == f"An answer does not fit `returns` at {RULE}."
    assert SECRET not in str(row) + caplog.text


async def test_misfit_is_not_noticed_where_no_answer_is_checked(
    database: str, tokens: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    await apply_probe(database)
    async with serving(database, tokens, actions=actions(), check_returns="none") as client:
        assert (await misfit(client)).json()["data"] == {"text": SECRET}
    assert not logged(caplog, events.REQUEST_ANSWER_MISFIT)
