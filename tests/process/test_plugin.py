"""The pytest plugin, in the tests of an application outside this repository."""

import re
import time
from pathlib import Path

from support.command import fails, processes, succeeds
from support.dev import developing
from support.harness import ROOT, Server
from support.plugin import SERVICE, run_tests, write_application

CALLS = """
from pathlib import Path
import httpx2
import pytest
from gateway.testing import assert_status


def test_by_name(gateway):
    answer = gateway.call("greetings.create", name="Ada")
    assert (answer.code, answer.status, answer.data) == (
        200, "action-successful", {"greeting": "Hello Ada"}
    )


def test_by_path_and_path_param(gateway):
    assert gateway.call("greetings.read", as_=None, name="Ada").data == {"greeting": "Hello Ada"}
    assert gateway.call("/api/v1/greetings/Ada").data == {"greeting": "Hello Ada"}
    with pytest.raises(LookupError, match="greetings.create"):
        gateway.call("greetings.creat")


@pytest.mark.parametrize(
    ("caller", "status"),
    [("employee", "action-successful"), ("liaison", "action-successful"),
     ("application", "action-successful"), ("client", "permission-denied"),
     ("nobody", "client-required"), ("expired", "session-expired"), (None, "missing-param")],
)
def test_callers(gateway, caller, status):
    assert_status(gateway.call("greetings.create", as_=caller, name="Ada"), status)


def test_made_callers(gateway):
    client = gateway.user(role="client")
    assert_status(gateway.call("greetings.create", as_=client, name="A"), "permission-denied")
    assert_status(gateway.call("greetings.create", as_=gateway.user(), name="A"),
                  "action-successful")
    token = gateway.token("planoorder", "sessions.*")
    assert_status(gateway.call("greetings.create", as_=token, name="A"), "permission-denied")


def test_assert_status_tells_what_came(gateway):
    answer = gateway.call("greetings.create")
    assert_status(answer, "missing-param", attr="name")
    with pytest.raises(AssertionError, match="missing-param .400., .*name: missing"):
        assert_status(answer, "action-successful")
    with pytest.raises(AssertionError, match="no error of the param title"):
        assert_status(answer, "missing-param", attr="title")


def test_client_and_own_status(gateway):
    client = gateway.client(as_="employee")
    answer = client.post("/api/v1/greetings/create", json={"name": "nobody"})
    assert_status(answer, "nobody-to-greet")
    assert httpx2.get(gateway.url + "/-/ready").json()["ready"]


def test_apply(gateway):
    assert_status(gateway.client().post("/api/v1/greetings/new"), "route-non-existent")
    text = Path("routes.yaml").read_text().replace("/greetings/{name}", "/greetings/new/{name}")
    assert gateway.apply(text) == 2
    assert gateway.call("/api/v1/greetings/new/Ada").data == {"greeting": "Hello Ada"}


def test_notifications(gateway, gateway_notifications):
    assert not gateway_notifications
    assert_status(gateway.call("greetings.create", name="crash"), "application-crash")
    [notification] = gateway_notifications
    assert notification["kind"] == "application-crash"
    assert notification["route"] == "greetings.create"


async def test_async(gateway):
    async with httpx2.AsyncClient(base_url=gateway.url) as client:
        assert (await client.get("/api/v1/greetings/Ada")).status_code == 200
    assert gateway.call("greetings.read", name="Ada").code == 200
"""
ASYNC = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


def test_fixtures_call_a_gateway_with_a_database_of_its_own(tmp_path: Path) -> None:
    write_application(tmp_path, CALLS, pytest_ini=ASYNC)
    counts, output = run_tests(tmp_path)
    assert counts == {"passed": 15}, output
    counts, output = run_tests(tmp_path, "-n", "2")
    assert counts == {"passed": 15}, output


def test_sync_tests_work_without_pytest_asyncio(tmp_path: Path) -> None:
    write_application(tmp_path, CALLS)
    counts, output = run_tests(tmp_path, "-p", "no:xdist", "-k", "not async")
    assert counts == {"passed": 14}, output


UNDOCUMENTED = """
import httpx2
import pytest


@pytest.mark.parametrize("name", ["five", "stray"])
def test_call(gateway, name):
    gateway.call("greetings.create", name=name)


@pytest.mark.parametrize("name", ["five", "stray"])
def test_client_of_its_own(gateway, name):
    httpx2.get(f"{gateway.url}/api/v1/greetings/{name}")


def test_processes(gateway_server):
    gateway_server.call("greetings.create", name="five")
"""


def test_an_answer_that_the_route_does_not_document_fails_its_test(tmp_path: Path) -> None:
    write_application(tmp_path, UNDOCUMENTED)
    counts, output = run_tests(tmp_path)
    assert counts == {"failed": 5}, output
    assert len(re.findall("UndocumentedAnswerError: greetings", output)) >= 5
    misfit = "the data does not fit `returns` at /properties/greeting/type"
    for told in (misfit, "the route does not document the status not-listed"):
        assert f"greetings.create: {told}" in output
        assert f"greetings.read: {told}" in output


SERVER = """
from pathlib import Path
def test_server(gateway_server):
    assert gateway_server.call("greetings.create", name="Ada").data == {"greeting": "Hello Ada"}
    text = Path("routes.yaml").read_text().replace("/greetings/{name}", "/greetings/new/{name}")
    gateway_server.apply(text)
    for _ in range(8):
        assert gateway_server.call("/api/v1/greetings/new/Ada").code == 200
    made = gateway_server.user(role="client")
    assert gateway_server.call("greetings.create", as_=made).status == "permission-denied"
"""


def test_gateway_server_is_the_real_command_with_workers(tmp_path: Path) -> None:
    write_application(tmp_path, SERVER)
    counts, output = run_tests(tmp_path)
    assert counts == {"passed": 1}, output


OUTSIDE = """
def test_call(gateway):
    assert gateway.call("greetings.create", name="Ada").data == {"greeting": "Hello Ada"}

def test_misfit(gateway):
    assert gateway.call("greetings.create", name="five").code == 500

def test_inside(gateway):
    gateway.user()

def test_apply(gateway):
    gateway.apply("")

def test_mail(gateway_mail):
    pass

def test_processes(gateway_server):
    pass
"""


def test_gateway_url_runs_the_tests_against_a_running_gateway(tmp_path: Path) -> None:
    write_application(tmp_path, OUTSIDE)
    with developing(tmp_path) as dev:
        url = dev.url()
        counts, output = run_tests(tmp_path, "--gateway-url", url)
        assert counts == {"passed": 2, "skipped": 4}, output
        assert f"makes a user, and --gateway-url names {url}" in output
        assert f"needs the inside of the gateway, and --gateway-url names {url}" in output


MAIL = """
STAGE = {"order_id": 7, "update_status": True, "stage": "scheduled", "event_slug": "stage-changed"}


def test_mail(gateway, gateway_mail):
    assert gateway.call("order_stages.create", **STAGE).code == 200
    [mail] = gateway_mail
    assert (mail.template, mail.answer) == ("order-stage-changed", "sent")


def test_failing_mail(gateway, gateway_mail):
    gateway_mail.fail("payment")
    assert gateway.call("order_stages.create", **STAGE).status == "mandrill-email-failed"
    assert gateway_mail[0].answer == "PaymentRequired"
"""


def test_mail_goes_to_the_stand_in(tmp_path: Path) -> None:
    write_application(tmp_path, MAIL, pytest_ini=f"[pytest]\ngateway_app = {ROOT}\n")
    counts, output = run_tests(tmp_path)
    assert counts == {"passed": 2}, output


TEMPLATE = """
import asyncio
import asyncpg
import pytest


async def templates(url):
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "select oid, datname from pg_database where datname ~ '^gateway_template' order by oid"
    )
    await connection.close()
    return " ".join(f"{row['datname']}:{row['oid']}" for row in rows)


@pytest.mark.parametrize("number", range(4))
def test_templates(gateway, number):
    with open("templates", "a") as file:
        file.write(asyncio.run(templates(gateway.database)) + "\\n")
"""


def test_template_is_made_once_for_all_workers_and_runs(tmp_path: Path) -> None:
    write_application(tmp_path, TEMPLATE)
    for _ in range(2):
        counts, output = run_tests(tmp_path, "-n", "2")
        assert counts == {"passed": 4}, output
    [first] = set((tmp_path / "templates").read_text().splitlines())
    assert first.count(":") == 1
    (tmp_path / "services" / "demo.sql").write_text("create table extra (id int)")
    run_tests(tmp_path, "-k", "0")
    last = (tmp_path / "templates").read_text().splitlines()[-1]
    assert last.startswith(f"{first} ")


def test_postgres_ends_with_the_tests(tmp_path: Path) -> None:
    write_application(tmp_path, TEMPLATE)
    run_tests(tmp_path, "-k", "0")
    deadline = time.monotonic() + 60
    while [line for _, _, line in processes() if str(tmp_path) in line]:
        assert time.monotonic() < deadline, "PostgreSQL still runs"
        time.sleep(0.05)


def test_a_run_without_fixtures_imports_nothing(tmp_path: Path) -> None:
    write_application(
        tmp_path,
        "import sys\n\ndef test_imports():\n"
        "    heavy = {'asyncpg', 'uvicorn', 'httpx2', 'jsonschema_rs', 'uvloop'}\n"
        "    assert not heavy & sys.modules.keys()\n",
    )
    # The plugin of another package, which the tests of this project have installed.
    counts, output = run_tests(tmp_path, "-p", "no:schemathesis")
    assert counts == {"passed": 1}, output


def test_without_demo_there_are_no_callers(tmp_path: Path) -> None:
    tests = (
        "import pytest\n\ndef test_callers(gateway):\n"
        "    with pytest.raises(LookupError, match='gateway_demo is off'):\n"
        "        gateway.call('greetings.create')\n"
        "    assert gateway.call('greetings.create', as_=gateway.user()).code == 400\n"
    )
    write_application(tmp_path, tests, pytest_ini="[pytest]\ngateway_demo = false\n")
    counts, output = run_tests(tmp_path)
    assert counts == {"passed": 1}, output


def test_new_application_and_new_actions_pass_their_tests(tmp_path: Path) -> None:
    printed = succeeds("init", cwd=tmp_path)
    assert "wrote routes.yaml\n" in printed
    assert "Next: run `pytest`" in printed
    for name in ("parcels.create", "greetings.read"):
        assert "wrote routes.yaml\n" in succeeds("new", name, cwd=tmp_path)
    assert fails("new", "greetings.read", cwd=tmp_path) == (
        "routes.yaml has the route greetings.read already\n"
    )
    assert succeeds("check", cwd=tmp_path) == "routes.yaml is valid: 3 routes of 2 services\n"
    counts, output = run_tests(tmp_path, "-p", "no:asyncio")
    assert counts == {"passed": 10}, output


def test_server_that_the_environment_names_is_used(tmp_path: Path, postgres: Server) -> None:
    write_application(tmp_path, TEMPLATE)
    counts, output = run_tests(tmp_path, GATEWAY_TEST_DATABASE_URL=postgres.admin)
    assert counts == {"passed": 4}, output
    assert not list(tmp_path.rglob("PG_VERSION"))


def test_new_without_an_application_refuses_and_leaves_plano_s_own(tmp_path: Path) -> None:
    assert "gateway init" in fails("new", "parcels.create", cwd=tmp_path)


def test_url_without_a_gateway_fails_and_skips_nothing(tmp_path: Path) -> None:
    succeeds("init", cwd=tmp_path)
    for url in ("http://127.0.0.1:1", "nonsense"):
        counts, output = run_tests(tmp_path, "--gateway-url", url)
        assert "skipped" not in counts, output
        assert "there is no gateway" in output


def test_complaint_about_a_call_that_ends_later_is_not_the_next_test_s(tmp_path: Path) -> None:
    tests = (
        "import time\nimport httpx2\nimport pytest\n\n"
        "def test_leaves(gateway):\n"
        "    with pytest.raises(httpx2.TimeoutException), httpx2.Client() as http:\n"
        "        http.get(f'{gateway.url}/api/v1/greetings/late', timeout=0.2)\n\n"
        "def test_next(gateway):\n"
        "    time.sleep(1)\n"
        "    assert gateway.call('greetings.create', name='Ada').code == 200\n"
    )
    late = SERVICE.replace(
        '    name = call.params["name"]\n',
        '    name = call.params["name"]\n'
        '    if name == "late":\n        await asyncio.sleep(0.6)\n        return Reply(5)\n',
    ).replace('"""Greets."""\n', '"""Greets."""\n\nimport asyncio\n')
    write_application(tmp_path, tests)
    (tmp_path / "services" / "greetings.py").write_text(late)
    counts, output = run_tests(tmp_path)
    assert counts == {"passed": 2}, output


def test_mistake_in_the_manifest_is_reported_in_one_line(tmp_path: Path) -> None:
    succeeds("init", cwd=tmp_path)
    manifest = tmp_path / "routes.yaml"
    manifest.write_text(manifest.read_text().replace("method: POST", "method: POKE"))
    _, output = run_tests(tmp_path, "-k", "test_name_is_required")
    assert "the gateway of the tests cannot start: " in output
    assert "must be GET, POST" in output
    assert "Traceback" not in output
    assert "gateway/testing" not in output
