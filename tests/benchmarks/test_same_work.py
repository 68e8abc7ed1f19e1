"""The peers that do the gateway's work for a call that does nothing: the same answers to it."""

import contextlib
import os
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import orjson
import pytest
from bench import calls, targets
from bench.database import Database
from bench.targets import Target

PYTHON = os.environ.get("BASELINES", ".venv-bench/bin/python")
PEERS = (
    "Fastify, same work",
    "FastAPI, same work",
    "Litestar, same work",
    "BlackSheep, same work",
)
PATH = "/api/v1/bench/echo"
TOKEN = "s" * 43
BODY = {"order_id": 10_001, **calls.BODY}
BAD_BODIES = (
    {**BODY, "update_status": "yes"},
    {**BODY, "stage": ""},
    {**BODY, "stage": " "},
    {**BODY, "appointment": {"appt_id": "one"}},
    {**BODY, "order": {"delivery_rush": "yes"}},
    {**BODY, "client": {"client_billing_postal_code": -1}},
    {name: value for name, value in BODY.items() if name != "stage"},
    calls.BODY,
)
CONVERTIBLE = ({**BODY, "appointment": {"appt_id": "1"}}, {**BODY, "order": {"delivery_rush": 1}})


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[dict[str, Target]]:
    """The peers, each with one session in memory; they need no database."""
    specs, missing = targets.specs(PYTHON, smoke=False)
    assert not missing
    chosen = [spec for spec in specs if spec.name in PEERS]
    with targets.running(chosen, Database(url="", version="", tokens=(TOKEN,)), folder) as running:
        yield running


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    """The running peers, by name."""
    with serving(tmp_path_factory.mktemp("peers")) as running:
        yield running


def _answer(peer: Target, params: object, token: str = TOKEN) -> tuple[int, bytes]:
    """Send the request as the workload sends it; return the HTTP status and the answer."""
    with socket.create_connection(("127.0.0.1", peer.port)) as connection:
        connection.sendall(calls.post(PATH, params, token))
        response = HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


@pytest.mark.parametrize("name", PEERS)
def test_peer_answers_the_params_in_the_envelope(servers: dict[str, Target], name: str) -> None:
    status, content = _answer(servers[name], BODY)
    assert status == 200
    assert orjson.loads(content) == {"code": 200, "status": "action-successful", "data": BODY}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("token", ["", "unknown"])
def test_peer_refuses_an_unknown_token(servers: dict[str, Target], name: str, token: str) -> None:
    assert _answer(servers[name], BODY, token)[0] == 401


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("body", BAD_BODIES)
def test_peer_refuses_a_bad_param(servers: dict[str, Target], name: str, body: object) -> None:
    assert _answer(servers[name], body)[0] in {400, 422}


@pytest.mark.parametrize("name", [name for name in PEERS if not name.startswith("Litestar")])
@pytest.mark.parametrize("body", CONVERTIBLE)
def test_peer_converts_no_values(servers: dict[str, Target], name: str, body: object) -> None:
    assert _answer(servers[name], body)[0] in {400, 422}


def test_peers_log_one_line_for_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "access.log"
    monkeypatch.setenv("ACCESS_LOG", str(log))
    with serving(tmp_path) as running:
        for peer in running.values():
            _answer(peer, BODY)
    lines = [orjson.loads(line) for line in log.read_text().splitlines()]
    requests = [line for line in lines if "code" in line]
    expected = {"method": "POST", "path": PATH, "route": PATH, "caller": "user:1", "code": 200}
    assert [line | expected for line in requests] == requests
    assert len(requests) == len(PEERS)
