"""Sends a secret in every way, and searches everything that the process has written for it."""

import asyncio
import base64
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote, urlencode

import httpx2
import orjson
import pytest
from support.harness import Client, execute, on, serving, until
from support.manifests import desired

from gateway import Call, Rejection, Reply
from gateway.dev.demo import PASSWORD
from gateway.identity.tokens import SESSION_PREFIX, digest
from gateway.manifest.apply import Author, apply
from gateway.runtime.log import _JsonLines
from gateway.upstreams.action import Function
from gateway.upstreams.python import Actions

CANARY = "cAnArY4tWeEt"
TOKEN = SESSION_PREFIX + CANARY.ljust(43, "x")
"""A valid token, which the demo's employee gets."""

URL = f"https://example.com/?pass={CANARY}"
PERSON = {"email": "eve@example.com", "first_name": "Eve", "last_name": "Park"}
USER = {"email": "employee@example.com", "application": "planoorder"}

Params: TypeAlias = dict[str, Any]
Captured: TypeAlias = tuple[pytest.CaptureFixture[str], pytest.LogCaptureFixture]
Serve: TypeAlias = Callable[..., Any]


class Target(NamedTuple):
    """A route that takes secrets, and a call that is valid except for the password."""

    handler: str
    method: str
    path: str
    params: Params
    secret: bool = True


NEW_PASSWORD, THINGS_CREATE = "/api/v1/users/update_password", "/api/v1/things/create"
CONFIRM_RESET = "/api/v1/users/confirm_reset"
LOG_IN = {**USER, "password": CANARY, "redirect_url": URL}
REGISTER = {"application": "planoorder", "client": {**PERSON, "password": CANARY}}
CONFIRM = {"reset_token": CANARY, "password": f"{CANARY}2"}
CHANGE = {"password": CANARY, "new_password": f"{CANARY}2"}
MARKED = {"pin": CANARY, "inner": {"pin": CANARY}, "pins": [CANARY]}
TARGETS = {
    "sessions.create": Target("sessions.create", "POST", "/api/v1/sessions/create", LOG_IN),
    "clients.register": Target("clients.register", "POST", "/api/v1/clients/register", REGISTER),
    "users.update_password": Target("users.update_password", "PUT", NEW_PASSWORD, CHANGE),
    "users.confirm_reset": Target("users.confirm_reset", "POST", CONFIRM_RESET, CONFIRM),
    "marked in the schema": Target("things.create", "POST", THINGS_CREATE, MARKED, secret=False),
}
PIN = {"type": "string", "maxLength": 40, "x-sensitive": True}
CLOSED = Target("things.create", "POST", "/api/v1/things/keep", {}, secret=False)
"""A route that refuses unknown params, and names them."""

THINGS: dict[str, Any] = {
    "things.create": {
        "auth": ["session"],
        "params": {
            "properties": {
                "pin": PIN,
                "pins": {"type": "array", "items": PIN},
                "inner": {"type": "object", "properties": {"pin": PIN}},
            }
        },
    },
    "things.keep": {
        "handler": "things.create",
        "auth": ["session"],
        "params": {
            "additionalProperties": False,
            "properties": {
                "pin": PIN,
                "map": {"type": "object", "additionalProperties": {"type": "integer"}},
                "closed": {"type": "object", "properties": {}, "additionalProperties": False},
            },
        },
    },
}


def forms(secret: str) -> Iterator[str]:
    """The secret as text, as hexadecimal bytes, and within base64 at each of the three offsets."""
    yield secret
    yield secret.encode().hex()
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + secret.encode()).decode()
        yield text[4:-4]


FORMS = tuple(forms(CANARY))


def has_canary(text: str) -> bool:
    return any(form.lower() in text.lower() for form in FORMS)


def is_ours(record: logging.LogRecord) -> bool:
    """Whether a record is not of the test's HTTP client, which logs the URL."""
    return not record.name.startswith(("httpx2", "httpcore2"))


class Written:
    """Everything that the process writes while it serves."""

    def __init__(self, client: Client, folder: Path, captured: Captured) -> None:
        self._client = client
        self._folder = folder
        self._captured = captured
        self.snapshot = folder / "registry.snapshot"

    def output(self) -> str:
        """Standard output and error, which include the access log, and the log records."""
        self._client.worker.access.flush()
        capfd, caplog = self._captured
        records = filter(is_ours, caplog.records)
        return "\n".join([*capfd.readouterr(), *(record.getMessage() for record in records)])

    async def tables(self) -> dict[str, str]:
        """Each table as text: a row has text and jsonb as they are, and bytea in hex."""
        url = self._client.database_url
        names = [
            f'"{row["table_schema"]}"."{row["table_name"]}"'
            for row in await execute(url, "select * from information_schema.tables")
            if row["table_type"] == "BASE TABLE"
            and row["table_schema"] not in ("pg_catalog", "information_schema")
        ]
        assert len(names) > 20
        query = "select coalesce(string_agg(t::text, ' '), '') as rows from {} as t"
        return {name: (await execute(url, query.format(name)))[0]["rows"] for name in names}

    async def metrics(self) -> str:
        transport = httpx2.ASGITransport(self._client.worker.admin.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://admin") as http:
            return (await http.get("/-/metrics")).text

    async def all(self) -> dict[str, str]:
        await self._client.worker.identity.last_use.flush()
        await self._client.worker.identity.limits.counts.flush()
        await until(self.snapshot.exists)
        files = {file.name: file.read_bytes().decode("latin-1") for file in self._folder.iterdir()}
        metrics = await self.metrics()
        return {"output": self.output(), "metrics": metrics, **files, **await self.tables()}


@pytest.fixture
async def serve(
    database: str,
    tokens: dict[str, str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Serve:
    """Serves with an action in the place of the real ones; yields a client and what is written."""
    query = "update gateway.sessions set user_id = 1, token_hash = $1 where id = 1"
    await execute(database, query, digest(TOKEN))
    manifest = desired(tmp_path, THINGS, "canary")
    await on(database, lambda db: apply(db, manifest, Author("tests")))
    (folder := tmp_path / "data").mkdir()

    @asynccontextmanager
    async def serving_with(
        action: Function | None = None, **settings: str
    ) -> AsyncIterator[tuple[Client, Written]]:
        loaded = Actions.load()
        real = {name: loaded.find(name) for name in loaded.names()}
        actions: Any = {**real, "things.create": _echo}
        if action:
            actions |= {target.handler: action for target in TARGETS.values()}
        caplog.set_level(logging.DEBUG)
        changes = {"data_dir": str(folder), "account_guesses": "1000", **settings}
        # Lines in the gateway's own format, at every level.
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(_JsonLines())
        handler.addFilter(is_ours)
        logging.getLogger().addHandler(handler)
        try:
            async with serving(database, tokens, actions=Actions(actions), **changes) as client:
                client.worker.access._out = sys.stderr
                yield client, Written(client, folder, (capfd, caplog))
        finally:
            logging.getLogger().removeHandler(handler)

    return serving_with


async def _echo(call: Call) -> Reply:
    return Reply({"pins": len(call.params)})


def body(target: Target, params: Params) -> bytes:
    text = orjson.dumps(params)
    return base64.b64encode(text) if target.secret else text


async def send(client: Client, target: Target, content: bytes, token: str = TOKEN) -> str:
    """Send a body; return the status. The answer may repeat only the URL of the canary."""
    content_type = "text/plain" if target.secret else "application/json"
    headers = {"authorization": f"Bearer {token}", "content-type": content_type}
    answer = await client.request(target.method, target.path, content=content, headers=headers)
    text = answer.text + str(dict(answer.headers))
    assert not has_canary(text.replace(URL, "")), text
    return str(answer.json()["status"])


def bodies(target: Target) -> Iterator[tuple[str, bytes]]:
    """Bodies that fail on the way to the service; each contains the canary."""
    params = target.params
    raw = orjson.dumps(params)
    yield "not encoded", raw if target.secret else base64.b64encode(raw)
    yield "not base64", f"%{CANARY}%".encode()
    yield "truncated base64", body(target, params)[:-3]
    yield "truncated JSON", _encoded(target, raw[:-1])
    yield "not UTF-8", _encoded(target, raw.replace(b"cAn", b"cAn\xff", 1))
    yield "a list", _encoded(target, orjson.dumps([CANARY]))
    yield "unknown params", body(target, {**params, "other": CANARY, CANARY[::-1]: CANARY})
    yield "too deep", _encoded(target, raw[:-1] + b',"other":' + b"[" * 40 + b"]" * 40 + b"}")
    yield "a NUL", body(target, _with(params, lambda text: f"{text}\0"))
    yield "wrong types", body(target, _with(params, lambda text: {"a": [text]}))
    yield "missing params", body(target, {"other": CANARY})
    yield "too long", body(target, _with(params, lambda text: text * 100))
    yield "another token", body(target, {**params, "token": f"{TOKEN}y"})
    yield "a view", body(target, {**params, "view": CANARY, "session_view": CANARY})
    yield "an application", body(target, {**params, "application": CANARY})
    yield "oversize", body(target, {**params, "other": CANARY * 100_000})


def _encoded(target: Target, text: bytes) -> bytes:
    return base64.b64encode(text) if target.secret else text


def _with(value: Any, change: Callable[[str], Any]) -> Any:
    """A copy in which every text with the canary is changed."""
    if isinstance(value, dict):
        return {name: _with(inner, change) for name, inner in value.items()}
    return change(value) if isinstance(value, str) and CANARY in value else value


LONG = SESSION_PREFIX + CANARY + "Zx8kQv2nRb7Lw4Tj9Hc5"
"""A token-like secret; no eight characters of it may be seen."""

SHORT = "kQv2nRb7Lw4T"
"""A password: short enough to look like a name."""

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
THING = {"pin": SHORT, "inner": {"pin": SHORT}}


def misread(secret: str, value: dict[str, Any]) -> Iterator[tuple[str, str, bytes, str]]:
    """Bodies that are read as something else: name, content type, body, query."""
    text = orjson.dumps(value)
    spaced = orjson.dumps(value, option=orjson.OPT_INDENT_2)
    form = urlencode({"pin": secret}).encode()
    once, twice = base64.b64encode(text), base64.b64encode(base64.b64encode(text))
    yield "JSON as a form", FORM, text, ""
    yield "JSON after a byte order mark as a form", FORM, b"\xef\xbb\xbf" + text, ""
    yield "JSON with an & as a form", FORM, text.replace(secret.encode(), b"a&" + form[4:]), ""
    yield "JSON in quotes as a form", FORM, orjson.dumps(text.decode()), ""
    yield "percent-encoded JSON as a form", FORM, quote(text.decode()).encode(), ""
    yield "twice percent-encoded JSON as a form", FORM, quote(quote(text.decode())).encode(), ""
    yield "base64 as a form", FORM, once, ""
    yield "short base64 as a form", FORM, base64.b64encode(orjson.dumps({"a": secret})), ""
    yield "base64 of spaced JSON as a form", FORM, base64.b64encode(spaced), ""
    yield "URL-safe base64 as a form", FORM, base64.urlsafe_b64encode(text).rstrip(b"="), ""
    yield "lines of base64 as a form", FORM, base64.encodebytes(text), ""
    yield "base64 of base64 as a form", FORM, twice, ""
    yield "base64 of the secret as a form", FORM, base64.b64encode(secret.encode() + b"1"), ""
    yield "base64 of the secret and no padding", FORM, base64.b64encode(secret.encode()), ""
    yield "the secret alone as a form", FORM, secret.encode(), ""
    yield "the secret as an empty key", FORM, f"{secret}=".encode(), ""
    yield "a form with a secret after an &", FORM, f"pin=a&{secret}".encode(), ""
    yield "a form as JSON", JSON, form, ""
    yield "a form encoded twice", FORM, quote(form.decode()).encode(), ""
    yield "a form as base64", FORM, base64.b64encode(form), ""
    yield "base64 as JSON", JSON, once, ""
    yield "JSON in JSON as JSON", JSON, orjson.dumps(text.decode()), ""
    yield "JSON in a query", JSON, b"", text.decode()
    yield "base64 in a query", JSON, b"", once.decode()
    yield "the secret in a query", JSON, b"", secret
    part = f'--b\r\nContent-Disposition: form-data; name="pin"\r\n\r\n{secret}\r\n--b--\r\n'
    yield "multipart", "multipart/form-data; boundary=b", part.encode(), ""
    yield "multipart as a form", FORM, part.encode(), ""
    yield "multipart as JSON", JSON, part.encode(), ""
    yield "plain text", "text/plain", text, ""


def token_in_keys() -> Iterator[tuple[str, str, bytes, str]]:
    """A token in the place of a name: name, content type, body, query."""
    for name in (LONG, f"inner.{LONG}", f"a[{LONG}]", f"{LONG}.a", LONG[:30]):
        yield f"a key of JSON, {name[:6]}", JSON, orjson.dumps({name: 1, "closed": {name: 1}}), ""
        yield f"a key of a form, {name[:6]}", FORM, f"{name}=1&inner[{LONG}]=1".encode(), ""
        yield f"a key of a query, {name[:6]}", JSON, b"", f"{name}=1"
    yield "a key of a map", JSON, orjson.dumps({"map": {LONG: "x", LONG[:30]: "x"}}), ""
    yield "a key with a NUL", JSON, orjson.dumps({"map": {f"{LONG[:30]}\0": 1}}), ""


def runs_of(secret: str) -> set[str]:
    """Each eight characters in a row of a secret, and of its base64."""
    texts = {secret.removeprefix(SESSION_PREFIX)}
    for offset in range(3):
        texts.add(base64.b64encode(b"\0" * offset + secret.encode()).decode()[4:-4])
    return {text[at : at + 8] for text in texts for at in range(len(text) - 7)}


MISREAD = [
    *((SHORT, *case) for case in misread(SHORT, THING)),
    *((LONG, *case) for case in misread(LONG, {"token": LONG, "pin": LONG})),
    *((LONG, *case) for case in token_in_keys()),
]


async def test_secret_in_a_body_that_is_misread_is_shown_nowhere(serve: Serve) -> None:
    slugs = set()
    async with serve() as (client, written):
        for secret, name, content_type, content, query in MISREAD:
            for target in (*TARGETS.values(), CLOSED):
                answer = await client.request(
                    target.method,
                    f"{target.path}?{query}" if query else target.path,
                    content=content,
                    headers={"authorization": f"Bearer {TOKEN}", "content-type": content_type},
                )
                slugs.add(answer.json()["status"])
                text = answer.text + str(dict(answer.headers)) + written.output()
                shown = [run for run in runs_of(secret) if run in text]
                assert shown == [], (name, target.path, text)
    assert slugs >= {"invalid-content-type", "invalid-encoded-params", "invalid-param"}
    assert slugs >= {"action-successful", "no-params-decoded", "missing-param"}


def assert_clean(written: dict[str, str]) -> None:
    assert [name for name, text in written.items() if has_canary(text)] == []


async def test_canary_search_finds_every_form_in_every_output(serve: Serve) -> None:
    async with serve() as (client, written):
        assert_clean(await written.all())
        for text in FORMS:
            assert has_canary(f"a{text}b")
        note = "insert into gateway.application_tokens (application_id, token_hash, routes, note)"
        values = "values (1, '\\x01', '{}', $1), (1, convert_to($1, 'UTF8'), '{}', '')"
        await execute(client.database_url, f"{note} {values}", f"a {CANARY} b")
        query = "update gateway.routes set record = record || jsonb_build_object('a', $1::text)"
        await execute(client.database_url, f"{query} where name = 'things.create'", CANARY)
        logging.getLogger("gateway.tests").debug("a line with %s", CANARY)
        client.worker.access.write({"path": CANARY})
        client.worker.metrics.count(CANARY, "GET", 200, "a", "none", 0.1)
        (written.snapshot.parent / "other").write_text(CANARY)
        texts = await written.all()
    assert {name for name, text in texts.items() if has_canary(text)} == {
        *("output", "metrics", "other", '"gateway"."application_tokens"', '"gateway"."routes"'),
    }
    assert texts["output"].count(CANARY) == 3, "a log line, its record, and an access line"


async def test_secret_of_a_refused_call_is_written_nowhere(serve: Serve) -> None:
    slugs = set()
    async with serve() as (client, written):
        for target in TARGETS.values():
            for _, content in bodies(target):
                slugs.add(await send(client, target, content))
                slugs.add(await send(client, target, content, token=f"{TOKEN[:-1]}y"))
            slugs.add(await send(client, target, body(target, target.params)))
        assert_clean(await written.all())
    assert slugs >= {"invalid-encoded-params", "no-params-decoded", "payload-too-large"}
    assert slugs >= {"invalid-param", "missing-param", "invalid-token", "invalid-password"}


async def test_secret_of_a_successful_call_is_written_nowhere(serve: Serve) -> None:
    async with serve() as (client, written):
        steps: list[tuple[str, Params]] = [
            ("clients.register", REGISTER),
            ("clients.register", REGISTER),
            ("sessions.create", {**LOG_IN, "email": "eve@example.com"}),
            ("users.update_password", {"password": PASSWORD, "new_password": CANARY}),
            ("users.update_password", CHANGE),
            ("marked in the schema", MARKED),
        ]
        slugs = [await send(client, TARGETS[at], body(TARGETS[at], params)) for at, params in steps]
        assert_clean(await written.all())
    done = "action-successful"
    assert slugs == [done, "email-already-registered", done, done, done, done]


async def _crash(call: Call) -> Reply:
    raise RuntimeError(call.params, call.caller) from KeyError(str(call.params))


async def _stray(call: Call) -> Reply:
    raise Rejection("stray", str(call.params))


async def _reply_with_an_object(call: Call) -> Reply:
    return Reply({"params": call.params, "what": object()})


async def _slow(call: Call) -> Reply:
    await asyncio.sleep(60)
    raise AssertionError(call.params)


def _queries(query: str) -> Function:
    async def run(call: Call) -> Reply:
        await call.db.fetchrow(query, str(call.params))
        raise AssertionError

    return run


TWICE = (
    "insert into gateway.users (email, first_name, last_name) "
    "select $1::text, $1, $1 from generate_series(1, 2)"
)
TIMEOUTS = {"service-timeout": 0.15, "service-unavailable": 1, "application-crash": 10}
"""The timeout of a route in seconds, by the status with which its calls end."""

FAILURES: dict[str, tuple[Function, str]] = {
    "a crash": (_crash, "application-crash"),
    "an undocumented status": (_stray, "application-crash"),
    "an answer that is not JSON": (_reply_with_an_object, "application-crash"),
    "a value of a wrong type": (_queries("select $1::int"), "application-crash"),
    "a value that the server refuses": (_queries("select $1::text::int"), "application-crash"),
    "a duplicate value": (_queries(TWICE), "application-crash"),
    "a wrong statement": (_queries("select $1::text from nowhere"), "application-crash"),
    "a slow service": (_slow, "service-timeout"),
    "a slow database": (_queries("select pg_sleep(60), $1::text"), "service-unavailable"),
    "a lost connection": (
        _queries("select pg_terminate_backend(pg_backend_pid()), $1::text"),
        "service-unavailable",
    ),
}
TIMED = "update gateway.routes set record = record || jsonb_build_object('timeout', $1::float)"


@pytest.mark.parametrize(("action", "slug"), FAILURES.values(), ids=FAILURES)
async def test_secret_of_a_call_that_fails_in_its_service_is_written_nowhere(
    serve: Serve, database: str, action: Function, slug: str
) -> None:
    await execute(database, TIMED, TIMEOUTS[slug])
    async with serve(action) as (client, written):
        for target in TARGETS.values():
            assert await send(client, target, body(target, target.params)) == slug
        assert_clean(await written.all())


async def test_secret_is_written_nowhere_during_a_database_outage(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as (client, written):
        monkeypatch.setattr(client.worker.database.availability, "report_up", lambda _: None)
        pools = client.worker.pool, client.worker.lookup_pool
        for pool in pools:
            pool.problem = "no answer"
        for target in TARGETS.values():
            slug = await send(client, target, body(target, target.params))
            assert slug == "service-unavailable"
        for pool in pools:
            pool.problem = None
        assert_clean(await written.all())
