"""The outbox: messages that wait, are parked, or were sent; retry and discard."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway.database.connect import Connection
from gateway.outbox import admin
from gateway.outbox.admin import STATES, Filters, OutboxError, Same
from gateway.pages.console.access import Form, Operator
from gateway.pages.console.console import Console, back, page_number, path_id

PAGE = 50
MAX_PAGE = 10_000
KINDS = ("mail", "webhook")
FILTERS = ("state", "kind", "error", "fault")
CHANGE_TIMEOUT = 30.0
"""Seconds for a change of all messages with one error, which may be a hundred thousand."""


async def index(console: Console, request: Request, operator: Operator) -> Response:
    """The messages that are not sent yet, or those in the state `?state=`; a page at a time."""
    query = {name: _text(request.query_params, name) for name in FILTERS}
    try:
        states = admin.states_named(query["state"])
    except OutboxError as error:
        return await console.missing(operator, f"{error}.")
    page = page_number(request, MAX_PAGE)

    async def read(connection: Connection) -> Mapping[str, Any]:
        filters = Filters(*(query[name] or None for name in FILTERS[1:]))
        rows = await admin.page(connection, states, filters, PAGE + 1, PAGE * (page - 1))
        same = _same(query)
        number = await admin.count(connection, same) if same else 0
        return {"rows": rows, "errors": await admin.errors(connection), "number": number}

    found = await console.database().run(read)
    return await console.page(
        "outbox.html",
        operator,
        errors=found["errors"],
        number=found["number"],
        rows=found["rows"][:PAGE],
        query=query,
        same=_same_query(query),
        states=STATES,
        kinds=KINDS,
        newer=_page(query, page - 1) if page > 1 else None,
        older=_page(query, page + 1) if len(found["rows"]) > PAGE else None,
    )


async def show(console: Console, request: Request, operator: Operator) -> Response:
    """One message with its content, attempts and last error."""
    message = await _message(console, request)
    if message is None:
        return await _unknown(console, operator)
    return await console.page("message.html", operator, message=message, asks=False)


async def ask_discard(console: Console, request: Request, operator: Operator) -> Response:
    """Ask whether a message is to be discarded: a page of its own, which needs no script."""
    message = await _message(console, request)
    if message is None:
        return await _unknown(console, operator)
    return await console.page("message.html", operator, message=message, asks=True)


async def retry(console: Console, request: Request, operator: Operator, _: Form) -> Response:
    """Make one message due now."""
    return await _change(console, request, operator, admin.retry)


async def discard(console: Console, request: Request, operator: Operator, _: Form) -> Response:
    """Discard one message, which is then never sent."""
    return await _change(console, request, operator, admin.discard)


async def ask_discard_same(console: Console, request: Request, operator: Operator) -> Response:
    """Ask whether all messages with one error, or behind one notification, are to be discarded."""
    query = request.query_params
    same = _same(query)
    if same is None:
        return await console.missing(operator, "Name the error of the messages to discard.")
    number = await console.database().run(lambda connection: admin.count(connection, same))
    return await console.page("discard.html", operator, number=number, same=same)


async def retry_same(console: Console, _: Request, operator: Operator, form: Form) -> Response:
    """Make all messages due now that have one error, or are behind one notification."""
    return await _change_same(console, operator, form, admin.retry_same)


async def discard_same(console: Console, _: Request, operator: Operator, form: Form) -> Response:
    """Discard all messages that have one error, or are behind one notification."""
    return await _change_same(console, operator, form, admin.discard_same)


async def _change_same(
    console: Console,
    operator: Operator,
    form: Form,
    change: Callable[[Connection, Same], Awaitable[int]],
) -> Response:
    same = _same(form)
    if same is None:
        return await console.missing(operator, "Name the error of the messages.")
    database = console.database(CHANGE_TIMEOUT)
    await database.run(lambda connection: change(connection, same))
    # The list that was changed, in all states: it shows what happened to each message.
    return back(f"/outbox?{_same_query(form)}&state=all")


async def _change(
    console: Console,
    request: Request,
    operator: Operator,
    change: Callable[[Connection, list[int]], Awaitable[int]],
) -> Response:
    message_id = path_id(request)
    try:
        await console.database().run(lambda connection: change(connection, [message_id]))
    except OutboxError as error:
        if await _message(console, request) is None:
            return await _unknown(console, operator)
        return await console.page("refused.html", operator, code=409, reason=f"{error}.")
    return back(f"/outbox/{message_id}")


async def _message(console: Console, request: Request) -> Any:  # noqa: ANN401 - an asyncpg record
    message_id = path_id(request)
    try:
        return await console.database().run(
            lambda connection: admin.message(connection, message_id)
        )
    except OutboxError:
        return None


async def _unknown(console: Console, operator: Operator) -> Response:
    return await console.missing(operator, "There is no such message.")


def _text(fields: Mapping[str, str], name: str) -> str:
    """A field of a query or form, as the database has it: browsers send line ends as CR LF."""
    # PostgreSQL has no text with a NUL.
    return fields.get(name, "").replace("\r\n", "\n").replace("\0", "")


def _same(fields: Mapping[str, str]) -> Same | None:
    """What the messages have in common that a query or form is about; None if it is nothing."""
    with suppress(ValueError):
        return Same.of(_text(fields, "error"), _text(fields, "fault"))
    return None


def _same_query(fields: Mapping[str, str]) -> str:
    named = {name: _text(fields, name) for name in ("error", "fault")}
    return urlencode({name: text for name, text in named.items() if text})


def _page(query: Mapping[str, str], number: int) -> str:
    return "?" + urlencode({**{k: v for k, v in query.items() if v}, "page": number})
