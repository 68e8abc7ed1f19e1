"""Clients that others wrote, against a gateway on a socket: Shoplo's, form libraries, curl.

`make test-clients` installs what they need and runs them. They are Node programs beside this file,
which print the answers that they got.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.harness import settings
from support.servers import listening

from gateway.serve import server
from gateway.serve.worker import Worker

FOLDER = Path(__file__).parent
CREATE = "/api/v1/order_stages/create"
NOWE = {"send_mail": "1", "mail_template": "1", "change_type": "0"}


@pytest.fixture
async def environment(database: str, tokens: dict[str, str]) -> AsyncIterator[dict[str, str]]:
    """What a client's program needs to call a gateway with the demo's orders and statuses."""
    given = settings(database)
    async with listening(server.server(Worker(given), given)) as listener:
        yield {**os.environ, "URL": server.url(listener), "TOKEN": tokens["employee"]}


async def output(environment: dict[str, str], *command: str) -> Any:
    """The JSON that a program prints; it fails the test if it fails."""
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=FOLDER, env=environment, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return orjson.loads(done.stdout)


async def test_shoplo_client_manages_statuses(environment: dict[str, str]) -> None:
    answers = await output(environment, "node", "shoplo_client.js")
    assert answers["list"] == {
        "statuses": [{"id": "1", "name": "Nowe"}, {"id": "2", "name": "Spakowane"}]
    }
    assert answers["one"]["status"]["uuid"] == "64bc99e9-3f99-417c-a704-81a9fbab0e5e"
    assert (answers["count"], answers["countByName"]) == ({"count": 5}, {"count": 1})
    created, again = answers["created"]["status"], answers["createdAgain"]["status"]
    assert (created["url"], again["url"]) == ("nowe-2", "nowe-3")
    assert {name: created[name] for name in NOWE} == NOWE
    assert created["color"] == "EC451F"
    assert answers["updated"] == {"id": int(created["id"])}
    changed = answers["changed"]["status"]
    assert (changed["name"], changed["color"]) == ("Zwrócone & więcej", "f55161")
    assert (changed["url"], changed["send_mail"]) == ("nowe-2", "1")
    assert answers["deleted"] == {"status": "ok"}


async def test_shoplo_client_understands_errors(environment: dict[str, str]) -> None:
    answers = await output(environment, "node", "shoplo_client.js")
    errors = {
        name: (
            answers[name]["code"],
            answers[name]["body"]["status"],
            answers[name]["body"]["error"],
        )
        for name in ("gone", "unknownPath", "withoutToken")
    }
    assert errors == {
        "gone": (400, "err", "invalid-param"),
        "unknownPath": (500, "err", "route-non-existent"),
        "withoutToken": (400, "err", "202"),
    }


async def test_form_library_sends_nested_params(environment: dict[str, str]) -> None:
    answers = await output(environment, "node", "bracket_form.js")
    for style, answer in answers.items():
        assert answer["code"] == 200, (style, answer)
        stage, status = answer["data"]["order_stage"], answer["data"]["order_status"]
        assert stage["stage"] == "scheduled & confirmed"
        assert stage["stage_start_at"] == "2026-11-29T03:00:00.000000+00:00"
        assert (stage["created_by"], stage["event_slug"]) == ("Ada Fields", None)
        assert (status["appt_id"], status["appt_confirmed"]) == (12, "yes")
        assert status["client_billing_postal_code"] == "02134"
        assert (status["order_notes"], status["delivery_rush"]) == ("brama [główna]", False)
        assert status["services_addon_array"] == ["drone", "video"], style
    assert len(answers) == 3


async def test_typed_client_sends_null_for_what_is_not_set(environment: dict[str, str]) -> None:
    answers = await output(environment, "node", "typed_client.js")
    created, sent_back = answers["created"]["data"], answers["sentBack"]["data"]
    assert created["order_stage"]["created_by"] == "Ada Fields"
    assert sent_back["order_stage"] == {
        **created["order_stage"],
        **{name: sent_back["order_stage"][name] for name in ("id", "stage_start_at")},
        "created_at_fm": sent_back["order_stage"]["created_at_fm"],
    }
    assert answers["incomplete"]["status"] == "missing-param"
    missing = {error["attr"] for error in answers["incomplete"]["errors"]}
    assert missing == {"order_id", "order_request_id", "stage"}
    assert answers["read"]["data"] == {"order_status": sent_back["order_status"]}
    stages = [sent_back["order_stage"], created["order_stage"]]
    assert answers["history"]["data"] == {"results": stages}
    assert (answers["status"]["status"]["url"], answers["changed"]) == ("nowe-2", {"id": 3})


async def curl(environment: dict[str, str], *arguments: str) -> Any:
    header = f"authorization: Bearer {environment['TOKEN']}"
    path, *options = arguments
    return await output(
        environment, "curl", "-sS", "-H", header, *options, environment["URL"] + path
    )


STAGE = '{"order_id": 7, "update_status": true, "stage": "scheduled"}'


async def test_curl_sends_forms_by_default(environment: dict[str, str]) -> None:
    form = ("-d", "order_id=7", "-d", "update_status=true", "--data-urlencode", "stage=a & b")
    answer = await curl(environment, CREATE, *form)
    assert answer["data"]["order_stage"]["stage"] == "a & b"
    created = await curl(environment, "/services/statuses", "-d", "status[name]=Nowe")
    assert created["status"]["url"] == "nowe-2"
    changed = await curl(
        environment, "/services/statuses/3", "-X", "PUT", "-d", "status[color]=2&status[url]="
    )
    assert changed == {"id": 3}


async def test_curl_sends_json_as_a_form_and_is_told_so(environment: dict[str, str]) -> None:
    answer = await curl(environment, CREATE, "-d", STAGE)
    assert answer["status"] == "invalid-content-type"
    assert "Content-Type: application/json" in answer["message"]
    header = ("-H", "Content-Type: application/json")
    assert (await curl(environment, CREATE, *header, "-d", STAGE))["code"] == 200


async def test_curl_sends_its_other_defaults(environment: dict[str, str], tmp_path: Path) -> None:
    query = ("-G", "-d", "fields=id", "-d", "limit=1", "-d", "name=")
    answer = await curl(environment, "/services/statuses", *query)
    assert answer == {"statuses": [{"id": "1"}]}
    empty = await curl(environment, CREATE, "-X", "POST")
    assert empty["status"] == "missing-param"
    # A body of this size makes curl wait for `100 Continue`.
    notes = tmp_path / "notes.txt"
    notes.write_text("n" * 1_040_000)
    form = ("-d", "order_id=7&update_status=0&stage=s", "--data-urlencode", f"notes@{notes}")
    large = await curl(environment, CREATE, *form)
    assert large["data"]["order_stage"]["notes"] == notes.read_text()
