"""The outbox: messages that wait, are parked, or were sent; retry and discard."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from gateway.database.connect import Connection
from gateway.outbox import admin
from gateway.outbox.admin import STATES, Filters, OutboxError
from gateway.pages.console.access import Form, Operator
from gateway.pages.console.console import Console, back, page_number, path_id

PAGE = 50
MAX_PAGE = 10_000
KINDS = ("mail", "webhook")


async def index(console: Console, request: Request, operator: Operator) -> Response:
    """The messages that are not sent yet, or those in the state `?state=`; a page at a time."""
    query = {"state": "", "kind": "", "error": "", "fault": ""} | dict(request.query_params)
    try:
        states = admin.states_named(query["state"])
    except OutboxError as error:
        return await console.missing(operator, f"{error}.")
    filters = Filters(*(query[name] or None for name in ("kind", "error", "fault")))
    page = page_number(request, MAX_PAGE)

    async def read(connection: Connection) -> tuple[Any, Any]:
        offset = PAGE * (page - 1)
        rows = await admin.page(connection, states, filters, PAGE + 1, offset)
        return rows, await admin.errors(connection)

    rows, errors = await console.database().run(read)
    return await console.page(
        "outbox.html",
        operator,
        rows=rows[:PAGE],
        errors=errors,
        query=query,
        states=STATES,
        kinds=KINDS,
        page_number=page,
        newer=_page(query, page - 1) if page > 1 else None,
        older=_page(query, page + 1) if len(rows) > PAGE else None,
    )


async def show(console: Console, request: Request, operator: Operator) -> Response:
    """One message with its content, attempts and last error."""
    message = await _message(console, request)
    if message is None:
        return await _unknown(console, request, operator)
    return await console.page("message.html", operator, message=message, asks=False)


async def ask_discard(console: Console, request: Request, operator: Operator) -> Response:
    """Ask whether a message is to be discarded: a page of its own, which needs no script."""
    message = await _message(console, request)
    if message is None:
        return await _unknown(console, request, operator)
    return await console.page("message.html", operator, message=message, asks=True)


async def retry(console: Console, request: Request, operator: Operator, _: Form) -> Response:
    """Make one message due now."""
    return await _change(console, request, operator, admin.retry)


async def discard(console: Console, request: Request, operator: Operator, _: Form) -> Response:
    """Discard one message, which is then never sent."""
    return await _change(console, request, operator, admin.discard)


async def retry_error(console: Console, _: Request, __: Operator, form: Form) -> Response:
    """Make all messages due now whose last error is this one."""
    error = form.get("error", "")
    await console.database().run(lambda connection: admin.retry_error(connection, error))
    return back("/outbox")


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


async def _unknown(console: Console, request: Request, operator: Operator) -> Response:
    return await console.missing(operator, f"There is no message {request.path_params['id']}.")


def _page(query: Mapping[str, str], number: int) -> str:
    return "?" + urlencode({**{k: v for k, v in query.items() if v}, "page": number})
