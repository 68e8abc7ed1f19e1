"""`gateway dev`: from a manifest to a gateway that serves, re-applies on save and cleans up."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from support.command import Running, fails, running, servers_of, wait_until
from support.harness import ROOT, execute

INDEX = "  order_stages.index:\n    method: POST\n    deployed: false"
TOKENS = {"application", "employee", "client", "liaison", "nobody", "expired"}


def furnish(folder: Path) -> Path:
    """Put the repository's manifest and schemas into a folder."""
    shutil.copy(ROOT / "routes.yaml", folder)
    shutil.copytree(ROOT / "schemas", folder / "schemas")
    return folder


@contextlib.contextmanager
def developing(folder: Path, *args: str, **changes: str) -> Iterator[Running]:
    """A `gateway dev` that is ready; no server is left of it, whatever happens."""
    try:
        with running("dev", *args, cwd=folder, **changes) as command:
            command.url()
            yield command
    finally:
        for server in servers_of(folder):
            os.kill(server, signal.SIGQUIT)


def notes(folder: Path) -> Any:
    """What `dev.json` says."""
    return orjson.loads((folder / ".gateway" / "dev.json").read_bytes())


def post(folder: Path, route: str, caller: str = "employee", **params: Any) -> httpx2.Response:
    told = notes(folder)
    body = {"token": told["tokens"][caller], **params}
    return httpx2.post(f"{told['url']}/api/v1/{route}", json=body)


def status(folder: Path, route: str, caller: str = "employee", **params: Any) -> str:
    slug: str = post(folder, route, caller, **params).json()["status"]
    return slug


def create(folder: Path, caller: str = "employee") -> httpx2.Response:
    return post(
        folder, "order_stages/create", caller, order_id=7, update_status=True, stage="scheduled"
    )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return furnish(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def dev(house: Path) -> Iterator[Running]:
    """One `gateway dev` on a fresh folder, for all tests that leave it as it was."""
    with developing(house) as command:
        yield command


def test_a_fresh_folder_becomes_a_gateway_that_is_ready(dev: Running) -> None:
    ready = httpx2.get(f"{dev.url()}/-/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert "add route order_stages.create" in dev.out
    assert "error" not in dev.err


def test_the_curl_line_works_as_it_is_printed(dev: Running) -> None:
    line = dev.wait_for(r"(?ms)^curl .*?'$")[0]
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    answer = orjson.loads(done.stdout)
    assert (answer["code"], answer["status"]) == (200, "action-successful")
    assert answer["data"]["order_stage"]["order_id"] == 7


def test_dev_json_has_what_is_documented_for_its_owner_alone(dev: Running, house: Path) -> None:
    file = house / ".gateway" / "dev.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    told = notes(house)
    assert told.keys() == {"url", "database_url", "tokens"}
    assert told["url"] == dev.url()
    assert told["tokens"].keys() == TOKENS
    [row] = asyncio.run(execute(told["database_url"], "select count(*) as n from users"))
    assert row["n"] == 4


def test_mail_goes_to_a_page_beside_the_gateway(dev: Running) -> None:
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
def test_each_token_of_dev_json_is_what_its_name_says(house: Path, caller: str, slug: str) -> None:
    assert create(house, caller).json()["status"] == slug


@pytest.mark.usefixtures("dev")
def test_the_routes_that_are_not_deployed_say_so(house: Path) -> None:
    assert status(house, "order_stages/index", order_id=7) == "route-not-found"
    assert status(house, "appointments/create", order_id=7) == "service-not-found"


@pytest.mark.usefixtures("dev")
def test_a_save_is_live_without_a_restart(house: Path) -> None:
    file = house / "routes.yaml"
    before = file.read_text()
    assert INDEX in before
    file.write_text(before.replace(INDEX, INDEX.replace("false", "true")))
    wait_until(lambda: status(house, "order_stages/index", order_id=7) == "service-not-found")
    file.write_text(before)
    wait_until(lambda: status(house, "order_stages/index", order_id=7) == "route-not-found")


def test_a_mistake_is_told_and_the_old_routes_go_on(dev: Running, house: Path) -> None:
    file = house / "routes.yaml"
    before = file.read_text()
    file.write_text(before.replace("method: POST", "method: SEND", 1))
    line = 1 + before.partition("method: POST")[0].count("\n")
    dev.wait_for(
        rf"not applied:\nroutes\.yaml:{line}: routes: order_stages\.create: method: .*allowed: GET"
    )
    assert create(house).status_code == 200
    file.write_text(before.replace(INDEX, INDEX.replace("false", "true")))
    wait_until(lambda: status(house, "order_stages/index", order_id=7) == "service-not-found")
    file.write_text(before)
    wait_until(lambda: status(house, "order_stages/index", order_id=7) == "route-not-found")


def test_a_second_one_on_the_same_folder_is_refused(dev: Running, house: Path) -> None:
    told = fails("dev", cwd=house)
    assert f"is in use by another process (pid {dev.process.pid})" in told
    assert told.count("\n") == 1
    assert create(house).status_code == 200
    assert notes(house)["url"] == dev.url()


def test_a_port_that_is_used_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    furnish(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        told = fails("dev", "--port", str(port), cwd=tmp_path)
    assert told.startswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")
    assert "GATEWAY_PORT" in told
    assert not (tmp_path / ".gateway").exists()


def test_data_and_tokens_survive_a_restart_and_no_server_is_left(tmp_path: Path) -> None:
    furnish(tmp_path)
    before, stages = None, []
    for sig in (signal.SIGINT, signal.SIGTERM):
        with developing(tmp_path) as command:
            stages.append(create(tmp_path).json()["data"]["order_stage"]["id"])
            tokens = notes(tmp_path)["tokens"]
            assert tokens == (before or tokens)
            before = tokens
            assert status(tmp_path, "order_stages/create", "expired") == "session-expired"
            assert len(servers_of(tmp_path)) == 1
            assert command.end(sig) == 0
            assert servers_of(tmp_path) == []
    assert stages == [1, 2]
    assert stat.S_IMODE((tmp_path / ".gateway" / "dev.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_leaves_no_server(tmp_path: Path, sig: signal.Signals) -> None:
    furnish(tmp_path)
    try:
        with running("dev", cwd=tmp_path) as command:
            wait_until((tmp_path / ".gateway" / "postgres" / "postmaster.pid").exists)
            command.end(sig)
        assert servers_of(tmp_path) == []
        assert "Traceback" not in command.err
    finally:
        for server in servers_of(tmp_path):
            os.kill(server, signal.SIGQUIT)


def test_a_manifest_with_faults_is_told_and_no_server_is_left(tmp_path: Path) -> None:
    furnish(tmp_path)
    manifest = tmp_path / "routes.yaml"
    manifest.write_text(manifest.read_text().replace("method: POST", "method: SEND", 1))
    with running("dev", cwd=tmp_path) as command:
        assert command.process.wait(30) == 1
    assert "'SEND' is not allowed; allowed: GET" in command.err
    assert "Traceback" not in command.err
    assert servers_of(tmp_path) == []


# What follows uses the tests' own server, which is there already.


def save(file: Path, text: str) -> None:
    """Save as many editors do: write a new file and put it in the place of the old one."""
    new = file.with_name(f".{file.name}.new")
    new.write_text(text)
    new.replace(file)


def test_each_save_that_replaces_the_file_is_seen(empty_database: str, tmp_path: Path) -> None:
    furnish(tmp_path)
    file = tmp_path / "routes.yaml"
    before = file.read_text()
    with developing(tmp_path, GATEWAY_DATABASE_URL=empty_database):
        assert notes(tmp_path)["database_url"] == empty_database
        assert not (tmp_path / ".gateway" / "postgres").exists()
        for title in ("First", "Second", "Third"):
            save(file, before.replace("Order Stages Index API", title))
            wait_until(lambda: has_title(empty_database, title))  # noqa: B023 - waited for here


def has_title(url: str, title: str) -> bool:
    query = "select from gateway.routes where record ->> 'title' = $1"
    return bool(asyncio.run(execute(url, query, title)))


def test_a_save_of_a_schema_is_seen(empty_database: str, tmp_path: Path) -> None:
    furnish(tmp_path)
    file = tmp_path / "schemas" / "order_stages" / "create.json"
    schema = orjson.loads(file.read_bytes())
    schema["required"].append("notes")
    with developing(tmp_path, GATEWAY_DATABASE_URL=empty_database):
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


def test_a_folder_of_files_without_schemas_is_served_and_watched(
    empty_database: str, tmp_path: Path
) -> None:
    folder = tmp_path / "routes"
    folder.mkdir()
    (folder / "a.yaml").write_text(ROUTES.format("things"))
    with developing(tmp_path, "routes", GATEWAY_DATABASE_URL=empty_database):
        assert status(tmp_path, "things/create") == "service-not-found"
        assert status(tmp_path, "parts/create") == "route-non-existent"
        (folder / "b.yaml").write_text(ROUTES.format("parts"))
        wait_until(lambda: status(tmp_path, "parts/create") == "service-not-found")
