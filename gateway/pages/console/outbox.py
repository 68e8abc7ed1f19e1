"""The outbox: messages that wait, are parked, or were sent; retry and discard."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway.database.connect import Connection
from gateway.outbox import admin
from gateway.outbox.admin import STATES, Filters, MessageGroup, OutboxError
from gateway.pages.console.access import Form, Operator
from gateway.pages.console.console import Console, back, field_text, page_number, path_id

PAGE = 50
MAX_PAGE = 10_000
KINDS = ("mail", "webhook")
FILTERS = ("state", "kind", "error", "fault")
CHANGE_TIMEOUT = 30.0
"""Seconds for a change of all messages with one error, which may be a hundred thousand."""


async def index(console: Console, request: Request, operator: Operator) -> Response:
    """The messages that are not sent yet, or those in the state `?state=`; a page at a time."""
    query = {name: field_text(request.query_params, name) for name in FILTERS}
    try:
        states = admin.states_named(query["state"])
    except OutboxError as error:
        return await console.missing(operator, f"{error}.")
    page = page_number(request, MAX_PAGE)

    async def read(connection: Connection) -> Mapping[str, Any]:
        filters = Filters(*(query[name] or None for name in FILTERS[1:]))
        rows = await admin.page(connection, states, filters, PAGE + 1, PAGE * (page - 1))
        # The actions are for the whole group: they are offered where the list shows all of it.
        group = None if query["kind"] or query["state"] not in {"", "all"} else _group(query)
        number = await admin.count(connection, group) if group else 0
        return {"rows": rows, "errors": await admin.errors(connection), "number": number}

    content = await console.database().run(read)
    return await console.page(
        "outbox.html",
        operator,
        errors=content["errors"],
        number=content["number"],
        rows=content["rows"][:PAGE],
        query=query,
        group_query=_group_query(query),
        states=STATES,
        kinds=KINDS,
        newer=_page(query, page - 1) if page > 1 else None,
        older=_page(query, page + 1) if len(content["rows"]) > PAGE else None,
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


async def ask_discard_group(console: Console, request: Request, operator: Operator) -> Response:
    """Ask whether to discard all messages with one error, or of one notification."""
    query = request.query_params
    group = _group(query)
    if group is None:
        return await console.missing(operator, "Name the error of the messages to discard.")
    number = await console.database().run(lambda connection: admin.count(connection, group))
    return await console.page("discard.html", operator, number=number, group=group)


async def retry_group(console: Console, _: Request, operator: Operator, form: Form) -> Response:
    """Make all messages with one error, or of one notification, due now."""
    return await _change_group(console, operator, form, admin.retry_group)


async def discard_group(console: Console, _: Request, operator: Operator, form: Form) -> Response:
    """Discard all messages with one error, or of one notification."""
    return await _change_group(console, operator, form, admin.discard_group)


async def _change_group(
    console: Console,
    operator: Operator,
    form: Form,
    change: Callable[[Connection, MessageGroup], Awaitable[int]],
) -> Response:
    group = _group(form)
    if group is None:
        return await console.missing(operator, "Name the error of the messages.")
    database = console.database(CHANGE_TIMEOUT)
    await database.run(lambda connection: change(connection, group))
    # With all states, the list shows what happened to each message of the group.
    return back(f"/outbox?{_group_query(form)}&state=all")


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


def _group(fields: Mapping[str, str]) -> MessageGroup | None:
    """The group of messages that a query or form names; None if it names none."""
    with suppress(ValueError):
        return MessageGroup.of(field_text(fields, "error"), field_text(fields, "fault"))
    return None


def _group_query(fields: Mapping[str, str]) -> str:
    named = {name: field_text(fields, name) for name in ("error", "fault")}
    return urlencode({name: text for name, text in named.items() if text})


def _page(query: Mapping[str, str], number: int) -> str:
    return "?" + urlencode({**{k: v for k, v in query.items() if v}, "page": number})
