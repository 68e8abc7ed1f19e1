"""An application outside this repository, whose tests run in a process with the plugin."""

import re
import subprocess
import sys
from pathlib import Path

from support.apps import write_files
from support.command import environment

ROUTES = """\
version: 1
namespace: acme
applications:
  planoorder: {title: Shop, roles: [employee, client, liaison]}
services:
  greetings: {kind: python, deployed: true, title: Greetings}
  sessions: {kind: python, deployed: true, title: Sessions}
routes:
  greetings.create:
    method: POST
    deployed: true
    title: Greetings Create API
    auth: [application, session]
    roles: {planoorder: [employee, liaison]}
    statuses: {nobody-to-greet: {http: 400, meaning: No one has this name.}}
    params: {required: [name], properties: {name: {type: string, x-order: 1}}}
    returns: {required: [greeting], properties: {greeting: {type: string}}}
  greetings.read:
    method: GET
    path: /api/v1/greetings/{name}
    deployed: true
    title: Greetings Read API
    auth: public
    params: {required: [name], properties: {name: {type: string, x-order: 1}}}
    returns: {required: [greeting], properties: {greeting: {type: string}}}
"""

SERVICE = '''\
"""Greets."""

from gateway import Call, Rejection, Reply


async def create(call: Call) -> Reply:
    """Greet a person."""
    name = call.params["name"]
    if name == "nobody":
        raise Rejection("nobody-to-greet")
    if name == "stray":
        raise Rejection("not-listed")
    if name == "crash":
        raise RuntimeError
    return Reply({"greeting": 5 if name == "five" else f"Hello {name}"})


async def read(call: Call) -> Reply:
    """Greet a person by the address."""
    return await create(call)
'''


def write_application(folder: Path, tests: str, **files: str) -> None:
    """An application with the service `greetings`, and with a file of tests."""
    named = {name.replace("__", "/").replace("_ini", ".ini"): text for name, text in files.items()}
    defaults = {
        "routes.yaml": ROUTES,
        "services/greetings.py": SERVICE,
        "tests/test_it.py": tests,
        "pytest.ini": "[pytest]\nfilterwarnings = error\naddopts = -p no:asyncio\n",
    }
    write_files(folder, defaults | named)


def run_tests(folder: Path, *words: str, **changes: str) -> tuple[dict[str, int], str]:
    """Run the tests of an application: how many passed, failed and so on, and the output."""
    # This process may itself be a worker of pytest-xdist.
    inherited = environment(**changes)
    variables = {name: text for name, text in inherited.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "-rs", *words],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    counts = re.findall(r"(\d+) (passed|failed|errors?|skipped)", done.stdout.splitlines()[-1])
    return {kind: int(count) for count, kind in counts}, done.stdout + done.stderr
