"""`gateway user` and `gateway application`: what they print, refuse and change in every worker."""

import asyncio
import base64
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import httpx2
import orjson
import pytest
from support.command import environment, fails, runner, succeeds, wait_until
from support.harness import Client, execute, on
from support.outages import is_healthy, serving, workers_of

from gateway.dev.demo import PASSWORD
from gateway.identity import users
from gateway.identity.users import Rights
from services.clients import MIN_PASSWORD_LENGTH

Gateway: TypeAlias = Callable[..., str]
ADA = "Ada.Fields@example.com"
CREATE = ("create", ADA, "--first-name", "Ada", "--last-name", "Fields")
LOG_IN = "/api/v1/sessions/create"
WORKERS = 2


@pytest.fixture
def gateway(database: str, tmp_path: Path) -> Gateway:
    """The output of a `gateway user` command that exits 0."""
    return runner(succeeds, "user", tmp_path, database)


@pytest.fixture
def refused(database: str, tmp_path: Path) -> Gateway:
    """The error of a `gateway user` command that exits 1."""
    return runner(fails, "user", tmp_path, database)


def shown(gateway: Gateway, email: str = ADA) -> dict[str, Any]:
    user: dict[str, Any] = orjson.loads(gateway("show", email, "--json"))
    return user


async def set_password(
    database: str, folder: Path, email: str, text: bytes
) -> tuple[int, str, str]:
    """Run `gateway user password` with a text on standard input; exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "user", "password", email),
        cwd=folder,
        env=environment(GATEWAY_DATABASE_URL=database),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(text)
    return process.returncode or 0, out.decode(), err.decode()


# Create, list, show


def test_user_create_with_roles_and_permissions(gateway: Gateway) -> None:
    rights = "--role employee --role client --permission ops --permission ops:act".split()
    printed = gateway(*CREATE, *rights)
    assert printed == (
        f"created user 6, {ADA}, with the role employee and the role client "
        "and the permission ops and the permission ops:act\n"
    )
    user = shown(gateway, ADA.upper())
    expected = {
        "id": 6,
        "email": ADA,
        "first_name": "Ada",
        "last_name": "Fields",
        "roles": ["client", "employee"],
        "permissions": ["ops", "ops:act"],
        "state": "no password",
        "sessions": 0,
        "remember_me": False,
        "disabled_at": None,
    }
    assert expected.items() <= user.items()
    for word in (ADA, "client, employee", "ops, ops:act", "no password"):
        assert word in gateway("show", ADA)


def test_user_client_record_has_the_name_of_the_user(gateway: Gateway, database: str) -> None:
    gateway(*CREATE, "--role", "client")
    rows = asyncio.run(
        execute(database, "select name from gateway.clients order by id desc limit 1")
    )
    assert rows[0]["name"] == "Ada Fields"


REFUSED_CREATIONS = {
    "address taken": (
        ("create", "EMPLOYEE@example.com", "--first-name", "A", "--last-name", "F"),
        "the address EMPLOYEE@example.com is taken: `gateway user show EMPLOYEE@example.com`\n",
    ),
    "no address": (
        ("create", "ada", "--first-name", "A", "--last-name", "F"),
        "'ada' is not a valid e-mail address\n",
    ),
    "control character": (
        ("create", "a\x07da@example.com", "--first-name", "A", "--last-name", "F"),
        "'a\\x07da@example.com' is not a valid e-mail address\n",
    ),
    "blank name": (
        ("create", ADA, "--first-name", " ", "--last-name", "F"),
        "a name must have 1 to 255 characters\n",
    ),
    "control character in a name": (
        ("create", ADA, "--first-name", "A", "--last-name", "\x1b[31mF"),
        "a name must not contain control characters\n",
    ),
    "line break in a name": (
        ("create", ADA, "--first-name", "A\nB", "--last-name", "F"),
        "a name must not contain control characters\n",
    ),
    "misspelt role": (
        (*CREATE, "--role", "employe"),
        (
            "unknown role 'employe' (did you mean employee?); "
            "the roles are client, employee, liaison\n"
        ),
    ),
    "other role": (
        (*CREATE, "--role", "boss"),
        "unknown role 'boss'; the roles are client, employee, liaison\n",
    ),
    "permission": (
        (*CREATE, "--permission", "Ops act"),
        "invalid permission 'Ops act': use lower-case words such as `ops` or `ops:act`\n",
    ),
}


@pytest.mark.parametrize(
    ("words", "error"), REFUSED_CREATIONS.values(), ids=REFUSED_CREATIONS.keys()
)
def test_user_create_that_is_refused_says_why_and_writes_nothing(
    refused: Gateway, database: str, words: tuple[str, ...], error: str
) -> None:
    assert refused(*words) == error
    query = "select from gateway.users where lower(email) like 'a%' or first_name = 'A'"
    assert asyncio.run(execute(database, query)) == []


def test_user_list_is_in_pages(gateway: Gateway) -> None:
    rows = orjson.loads(gateway("list", "--json", "--limit", "2"))
    assert [row["id"] for row in rows] == [1, 2]
    assert list(rows[0]) == (
        "id email first_name last_name roles permissions state sessions".split()
    )
    assert rows[0]["sessions"] == 1
    rows = orjson.loads(gateway("list", "--json", "--limit", "2", "--after", "2"))
    assert [row["email"] for row in rows] == ["liaison@example.com", "nobody@example.com"]
    assert "Fields" in gateway("list")


@pytest.mark.parametrize("after", ["x", "-1", str(2**63)])
def test_user_list_says_what_after_may_be(refused: Gateway, after: str) -> None:
    assert "must be a whole number, 0 or more" in refused("list", "--after", after)


UNKNOWN = "unknown user 'x@example.com'; `gateway user list` lists the users\n"


@pytest.mark.parametrize(
    "words",
    [
        ("show", "x@example.com"),
        ("grant", "x@example.com", "--role", "employee"),
        ("revoke", "x@example.com", "--permission", "ops"),
        ("disable", "x@example.com"),
        ("enable", "x@example.com"),
        ("password", "x@example.com"),
        ("password", "x@example.com", "--mail-link"),
    ],
)
def test_user_that_is_unknown_is_reported(refused: Gateway, words: tuple[str, ...]) -> None:
    assert refused(*words) == UNKNOWN


# Grant and revoke


def test_user_rights_are_granted_and_revoked(gateway: Gateway, refused: Gateway) -> None:
    gateway(*CREATE)
    printed = gateway("grant", ADA, "--role", "liaison", "--permission", "ops")
    assert printed == f"granted the role liaison and the permission ops to {ADA}\n"
    gateway("grant", ADA, "--permission", "a")
    assert (shown(gateway)["roles"], shown(gateway)["permissions"]) == (["liaison"], ["a", "ops"])
    printed = gateway("revoke", ADA, "--role", "liaison", "--permission", "a")
    assert printed == f"revoked the role liaison and the permission a from {ADA}\n"
    assert (shown(gateway)["roles"], shown(gateway)["permissions"]) == ([], ["ops"])
    for verb in ("grant", "revoke"):
        assert refused(verb, ADA) == "name what to change: --role, --permission, or both\n"
    assert "did you mean liaison?" in refused("grant", ADA, "--role", "liaisn")


NO_CHANGES = {
    "role granted": (("grant", "--role", "employee"), "already has the role employee"),
    "permission granted": (("grant", "--permission", "ops"), "already has the permission ops"),
    "one of two granted": (
        ("grant", "--role", "liaison", "--permission", "ops"),
        "already has the permission ops",
    ),
    "role revoked": (("revoke", "--role", "liaison"), "has no role liaison"),
    "permission revoked": (("revoke", "--permission", "nix"), "has no permission nix"),
    "one of two revoked": (
        ("revoke", "--role", "employee", "--permission", "nix"),
        "has no permission nix",
    ),
}


@pytest.mark.parametrize(("words", "error"), NO_CHANGES.values(), ids=NO_CHANGES)
def test_user_rights_that_are_so_already_are_refused_and_nothing_changes(
    gateway: Gateway, refused: Gateway, words: tuple[str, ...], error: str
) -> None:
    gateway(*CREATE, "--role", "employee", "--permission", "ops")
    before = shown(gateway)
    verb, *options = words
    assert refused(verb, ADA, *options) == f"{ADA} {error}\n"
    assert shown(gateway) == before


def test_user_client_role_revoked_keeps_the_record_for_its_orders(
    gateway: Gateway, database: str
) -> None:
    gateway("revoke", "client@example.com", "--role", "client")
    assert shown(gateway, "client@example.com")["roles"] == []
    [row] = asyncio.run(execute(database, "select id, user_id from gateway.clients where id = 1"))
    assert (row["id"], row["user_id"]) == (1, None)
    orders = asyncio.run(execute(database, "select from orders where client_id = 1"))
    assert orders
    gateway("grant", "client@example.com", "--role", "client")
    assert shown(gateway, "client@example.com")["roles"] == ["client"]


async def answers_of_all_workers(url: str, token: str) -> set[tuple[int, str]]:
    """The answers to so many calls on new connections that each worker answers some."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    headers = {"authorization": f"Bearer {token}"}
    stage = {"order_id": 7, "update_status": False, "stage": "s"}
    async with httpx2.AsyncClient(base_url=url, headers=headers, limits=limits) as http:
        answers = [
            await http.post("/api/v1/order_stages/create", json=stage) for _ in range(12 * WORKERS)
        ]
    return {(answer.status_code, answer.json()["status"]) for answer in answers}


async def test_user_changes_reach_every_worker_within_a_second(
    database: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    email, token = "employee@example.com", tokens["employee"]
    employee = Rights(["employee"])
    liaison = Rights(["liaison"])
    steps: list[tuple[Callable[[Any], Any], tuple[int, str]]] = [
        (lambda db: users.revoke(db, email, employee), (401, "client-required")),
        (lambda db: users.grant(db, email, liaison), (200, "action-successful")),
        (lambda db: users.disable(db, email), (401, "invalid-token")),
    ]
    with serving(tmp_path, database, "--workers", str(WORKERS)) as command:
        url = command.url()
        await asyncio.to_thread(wait_until, lambda: is_healthy(url, 4 * WORKERS))
        workers_of(command, WORKERS)
        assert await answers_of_all_workers(url, token) == {(200, "action-successful")}
        for change, expected in steps:
            await on(database, change)
            await asyncio.sleep(1)
            assert await answers_of_all_workers(url, token) == {expected}


# Disable and enable


def test_user_is_disabled_and_enabled(gateway: Gateway, refused: Gateway) -> None:
    email = "liaison@example.com"
    assert gateway("disable", email) == f"disabled {email}; ended 1 session\n"
    user = shown(gateway, email)
    assert (user["state"], user["sessions"]) == ("disabled", 0)
    assert user["disabled_at"].endswith("+00:00")
    assert refused("disable", email) == f"{email} is already disabled\n"
    assert shown(gateway, email)["disabled_at"] == user["disabled_at"]
    enable_first = f"{email} is disabled: `gateway user enable {email}` first\n"
    assert refused("password", email, "--mail-link") == enable_first
    words = ("create", "--application", "planoorder", "--user", email)
    assert refused(*words, noun="token") == enable_first
    assert gateway("enable", email) == f"enabled {email}\n"
    assert refused("enable", email) == f"{email} is not disabled\n"
    assert shown(gateway, email)["disabled_at"] is None


# Passwords


async def test_user_password_is_read_from_standard_input(
    client: Client, database: str, tmp_path: Path
) -> None:
    email = "client@example.com"
    code, out, err = await set_password(database, tmp_path, email, b"a new secret\nmore\n")
    assert (code, out, err) == (0, f"set the password of {email}; ended 1 session\n", "")
    for password, expected in ((PASSWORD, 400), ("a new secret", 200)):
        params = {"email": email, "password": password, "application": "planoorder"}
        content = base64.b64encode(orjson.dumps(params))
        answer = await client.request("POST", LOG_IN, content=content)
        assert answer.status_code == expected


UNSUITABLE = "a password must have 8 to 255 characters\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", UNSUITABLE),
        (b"short\n", UNSUITABLE),
        (b" " * 8 + b"\n", "a password must not be blank\n"),
        (b"x" * 256, UNSUITABLE),
        (b"p\xe4ssword as latin-1\n", "the password is not UTF-8 text\n"),
    ],
)
async def test_user_password_that_is_unsuitable_changes_nothing(
    database: str, tmp_path: Path, text: bytes, error: str
) -> None:
    hashes = "select password_hash from gateway.users order by id"
    before = await execute(database, hashes)
    refusal = await set_password(database, tmp_path, "client@example.com", text)
    assert refusal == (1, "", error)
    assert await execute(database, hashes) == before


def test_user_password_is_asked_for_twice_and_not_shown_on_a_terminal(
    database: str, tmp_path: Path
) -> None:
    typed = ["a new secret", "a new secrte", "a new secret", "a new secret"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        words = ["gateway", "user", "password", "client@example.com"]
        command = [sys.executable, "-m", *words]
        os.execve(sys.executable, command, environment(GATEWAY_DATABASE_URL=database))
    printed = b""
    for line in typed:
        while not printed.rstrip(b" ").endswith(b":"):
            printed += os.read(terminal, 1000)
        os.write(terminal, f"{line}\n".encode())
        printed += b"\n"
    try:
        while data := os.read(terminal, 1000):
            printed += data
    except OSError:  # the terminal's other end is closed
        pass
    assert os.waitpid(pid, 0)[1] == 0
    os.close(terminal)
    text = printed.decode()
    assert text.count("Password:") == 2
    assert "do not match" in text
    assert "set the password of client@example.com; ended 1 session" in text
    assert "secret" not in text


def test_user_password_is_never_an_argument(refused: Gateway) -> None:
    assert "unexpected extra argument" in refused("password", "client@example.com", "a new secret")


def test_user_password_has_the_minimum_length_of_the_api() -> None:
    assert users.MIN_PASSWORD_LENGTH == MIN_PASSWORD_LENGTH


def test_user_password_link_is_queued_and_needs_its_page(
    gateway: Gateway, refused: Gateway, database: str
) -> None:
    printed = gateway("password", "client@example.com", "--mail-link")
    assert printed == "queued message 1 to client@example.com; a running gateway sends it\n"
    [row] = asyncio.run(execute(database, "select * from gateway.outbox"))
    assert (row["state"], row["payload"]["template"]) == ("waiting", "password-reset")
    assert row["payload"]["email"] == "client@example.com"
    asyncio.run(execute(database, "update gateway.services set record = record - 'settings'"))
    error = refused("password", "client@example.com", "--mail-link")
    assert "set `reset_url` in the settings of the service `users`" in error
