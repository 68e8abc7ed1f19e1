"""`gateway dev`: serves a manifest, applies it again on save, and stops its server."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import orjson
import pytest
from support.command import Running, fails, running, servers_of, wait_until
from support.dev import copy_manifest, create, dev_json, developing, status
from support.harness import execute

INDEX = "  order_stages.index:\n    method: POST\n    deployed: false"
TOKENS = {"application", "employee", "client", "liaison", "nobody", "expired"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_manifest(tmp_path_factory.mktemp("dev"))


@pytest.fixture(scope="module")
def dev(folder: Path) -> Iterator[Running]:
    """One `gateway dev` on an empty folder, for all tests that restore what they change."""
    with developing(folder) as command:
        yield command


def test_dev_serves_from_an_empty_folder(dev: Running) -> None:
    ready = httpx2.get(f"{dev.url()}/-/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert "add route order_stages.create" in dev.out
    assert "error" not in dev.err


def test_dev_prints_a_curl_line_that_works(dev: Running) -> None:
    line = dev.wait_for(r"(?ms)^curl .*?'$")[0]
    result = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    answer = orjson.loads(result.stdout)
    assert (answer["code"], answer["status"]) == (200, "action-successful")
    assert answer["data"]["order_stage"]["order_id"] == 7


def test_dev_json_has_the_documented_keys_and_is_private(dev: Running, folder: Path) -> None:
    file = folder / ".gateway" / "dev.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = dev_json(folder)
    assert content.keys() == {
        *("url", "admin_url", "console_url", "mail_url", "database_url", "tokens")
    }
    assert content["url"] == dev.url()
    assert content["admin_url"] == dev.admin()
    assert content["console_url"] == f"{dev.admin()}/-/console"
    assert f"read it at {content['mail_url']}\n" in dev.out
    assert content["tokens"].keys() == TOKENS
    [row] = asyncio.run(execute(content["database_url"], "select count(*) as n from gateway.users"))
    assert row["n"] == 5


def test_dev_mail_is_sent_to_the_stand_in(dev: Running) -> None:
    page = dev.wait_for(r"Mail is not sent; read it at (http://\S+)")[1]
    assert "No messages yet" in httpx2.get(page).text
    ping = httpx2.post(f"{page}/api/1.0/users/ping.json", json={"key": "any"})
    assert (ping.status_code, ping.json()) == (200, "PONG!")


@pytest.mark.parametrize(
    ("caller", "slug"),
    [
        ("application", "action-successful"),
        ("employee", "action-successful"),
        ("liaison", "action-successful"),
        ("client", "permission-denied"),
        ("nobody", "client-required"),
        ("expired", "session-expired"),
    ],
)
@pytest.mark.usefixtures("dev")
def test_dev_json_token_acts_as_its_name_says(folder: Path, caller: str, slug: str) -> None:
    assert create(folder, caller).json()["status"] == slug


@pytest.mark.usefixtures("dev")
def test_dev_answers_for_routes_that_are_not_deployed(folder: Path) -> None:
    assert status(folder, "order_stages/index", order_id=7) == "route-not-found"
    assert status(folder, "appointments/create", order_id=7) == "service-not-found"


@pytest.mark.usefixtures("dev")
def test_dev_applies_a_save_without_a_restart(folder: Path) -> None:
    file = folder / "routes.yaml"
    before = file.read_text()
    assert INDEX in before
    file.write_text(before.replace(INDEX, INDEX.replace("false", "true")))
    wait_until(lambda: status(folder, "order_stages/index", order_id=7) == "service-not-found")
    file.write_text(before)
    wait_until(lambda: status(folder, "order_stages/index", order_id=7) == "route-not-found")


def test_dev_reports_a_mistake_and_keeps_the_old_routes(dev: Running, folder: Path) -> None:
    file = folder / "routes.yaml"
    before = file.read_text()
    file.write_text(before.replace("method: POST", "method: SEND", 1))
    line = 1 + before.partition("method: POST")[0].count("\n")
    dev.wait_for(
        rf"not applied:\nroutes\.yaml:{line}: routes: order_stages\.create: method: "
        "must be GET, .*not 'SEND'"
    )
    assert create(folder).status_code == 200
    file.write_text(before.replace(INDEX, INDEX.replace("false", "true")))
    wait_until(lambda: status(folder, "order_stages/index", order_id=7) == "service-not-found")
    file.write_text(before)
    wait_until(lambda: status(folder, "order_stages/index", order_id=7) == "route-not-found")


def test_dev_refuses_a_folder_in_use(dev: Running, folder: Path) -> None:
    stderr = fails("dev", cwd=folder)
    assert f"is in use by another process (pid {dev.process.pid})" in stderr
    assert stderr.count("\n") == 1
    assert create(folder).status_code == 200
    assert dev_json(folder)["url"] == dev.url()


def test_dev_refuses_a_port_in_use_before_it_creates_anything(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        stderr = fails("dev", "--port", str(port), cwd=tmp_path)
    assert stderr.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")
    assert "GATEWAY_PORT" in stderr
    assert not (tmp_path / ".gateway").exists()


def test_dev_keeps_data_and_tokens_over_a_restart_and_stops_its_server(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    before, stages = None, []
    for sig in (signal.SIGINT, signal.SIGTERM):
        with developing(tmp_path) as command:
            stages.append(create(tmp_path).json()["data"]["order_stage"]["id"])
            tokens = dev_json(tmp_path)["tokens"]
            assert tokens == (before or tokens)
            before = tokens
            assert status(tmp_path, "order_stages/create", "expired") == "session-expired"
            assert len(servers_of(tmp_path)) == 1
            assert command.end(sig) == 0
            assert servers_of(tmp_path) == []
    assert stages == [1, 2]
    assert stat.S_IMODE((tmp_path / ".gateway" / "dev.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_dev_stops_its_server_on_a_signal_while_it_starts(
    tmp_path: Path, sig: signal.Signals
) -> None:
    copy_manifest(tmp_path)
    try:
        with running("dev", cwd=tmp_path) as command:
            wait_until((tmp_path / ".gateway" / "postgres" / "postmaster.pid").exists)
            command.end(sig)
        assert servers_of(tmp_path) == []
        assert "Traceback" not in command.err
    finally:
        for server in servers_of(tmp_path):
            os.kill(server, signal.SIGQUIT)


def test_dev_reports_an_invalid_manifest_and_stops_its_server(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    manifest = tmp_path / "routes.yaml"
    manifest.write_text(manifest.read_text().replace("method: POST", "method: SEND", 1))
    with running("dev", cwd=tmp_path) as command:
        assert command.process.wait(30) == 1
    assert "must be GET, POST, PUT, PATCH or DELETE, not 'SEND'" in command.err
    assert "Traceback" not in command.err
    assert servers_of(tmp_path) == []


# The tests below use the test suite's own PostgreSQL, which runs already.


def save(file: Path, text: str) -> None:
    """Save as many editors do: write a new file and rename it to the old name."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.replace(file)


def test_dev_applies_each_save_that_replaces_the_file(empty_database: str, tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    file = tmp_path / "routes.yaml"
    before = file.read_text()
    with developing(tmp_path, "--database-url", empty_database):
        assert dev_json(tmp_path)["database_url"] == empty_database
        assert not (tmp_path / ".gateway" / "postgres").exists()
        for title in ("First", "Second", "Third"):
            save(file, before.replace("Order Stages Index API", title))
            wait_until(lambda: has_title(empty_database, title))  # noqa: B023 - waited for here


def has_title(url: str, title: str) -> bool:
    query = "select from gateway.routes where record ->> 'title' = $1"
    return bool(asyncio.run(execute(url, query, title)))


def test_dev_applies_a_save_of_a_schema(tmp_path: Path) -> None:
    copy_manifest(tmp_path)
    file = tmp_path / "schemas" / "order_stages" / "create.json"
    schema = orjson.loads(file.read_bytes())
    schema["required"].append("notes")
    # The route's example must fit the schema before and after the change.
    manifest = tmp_path / "routes.yaml"
    manifest.write_text(
        manifest.read_text().replace("stage: scheduled}", "stage: scheduled, notes: N}")
    )
    with developing(tmp_path):
        assert create(tmp_path).status_code == 200
        save(file, orjson.dumps(schema).decode())
        wait_until(lambda: create(tmp_path).json()["status"] == "missing-param")


ROUTES = """\
version: 1
namespace: {0}
services:
  {0}: {{kind: python, deployed: false, title: T}}
routes:
  {0}.create: {{method: POST, deployed: true, title: T, auth: [session], params: {{}}}}
"""


def test_dev_serves_and_watches_a_folder_without_schemas(tmp_path: Path) -> None:
    folder = tmp_path / "routes"
    folder.mkdir()
    shop = "applications: {shop: {title: Shop, roles: [employee]}}\n"
    (folder / "a.yaml").write_text(ROUTES.format("things") + shop)
    with developing(tmp_path):
        assert status(tmp_path, "things/create") == "service-not-found"
        assert status(tmp_path, "parts/create") == "route-non-existent"
        (folder / "b.yaml").write_text(ROUTES.format("parts"))
        wait_until(lambda: status(tmp_path, "parts/create") == "service-not-found")
