"""Order statuses in Shoplo's dialect: every scalar a string, times in UTC and whole seconds."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from asyncpg import ForeignKeyViolationError, UniqueViolationError

from gateway import Call, Reject, Rendered, Reply, Work, load_queries

_SQL = load_queries(__file__)

_FIELDS = ("name", "url", "color", "send_mail", "mail_template", "change_type")
_TIMES = ("created_at_min", "created_at_max", "updated_at_min", "updated_at_max")
_PALETTE = {"1": "EC451F", "2": "BEE5FC"}
_HEX = re.compile(r"[0-9A-Fa-f]{6}", re.ASCII)
_WITHOUT_DECOMPOSITION = str.maketrans({"ł": "l", "Ł": "L"})
_ATTEMPTS = 5
_RENDERED = Rendered()


async def index(call: Call) -> Reply:
    """List the statuses that pass the filters, a page at a time, in the order of their ids."""
    limit = call.params.get("limit", 50)
    page = call.params.get("page", 1)
    # An offset beyond what PostgreSQL counts is an empty page all the same.
    offset = min((page - 1) * limit, 2**62)
    args = (*_filters(call.params), limit, offset)
    fields = tuple(call.params.get("fields", ()))

    async def listed(db: Work) -> Reply:
        rows = await _page(db, args)
        if fields:
            rows = [orjson.dumps(_only(orjson.loads(row), fields)) for row in rows]
        # As JSON once, for all that share it.
        return Reply({"statuses": orjson.Fragment(b"[%b]" % b",".join(rows))})

    return await call.db.shared(listed, args, fields)


async def _page(db: Work, args: Sequence[object]) -> list[bytes]:
    """The JSON of a page's rows. Those that changed are fetched, and then the page is asked again.

    Raises Reject, service-unavailable, if they never stop.
    """
    for _ in range(_ATTEMPTS):
        page = await db.fetchrow(_SQL["index"], *args)
        if page is None or page["ids"] is None:
            return []
        rows = _RENDERED.find(page["ids"], page["hashes"])
        known = [row for row in rows if row is not None]
        if len(known) == len(rows):
            return known
        unknown = [key for key, row in zip(page["ids"], rows, strict=True) if row is None]
        _RENDERED.learn(await db.fetch(_SQL["rows"], unknown))
    raise Reject("service-unavailable", "The statuses change faster than they can be read.")


async def count(call: Call) -> Reply:
    """Count the statuses that pass the filters."""
    row = await call.db.fetchrow(_SQL["count"], *_filters(call.params))
    return Reply({"count": row["count"] if row else 0})


async def read(call: Call) -> Reply:
    """One status."""
    row = await call.db.fetchrow(_SQL["rows"], [call.params["id"]])
    if row is None:
        raise _unknown()
    return Reply({"status": _only(Rendered.shown(row), call.params.get("fields", ()))})


async def create(call: Call) -> Reply:
    """A new status; its url is made from its name unless it is given."""
    given = _given(call.params["status"])
    for _ in range(_ATTEMPTS):
        url = given["url"] or await _free_url(call, given["name"])
        rest = (given[name] or "0" for name in ("send_mail", "mail_template", "change_type"))
        color = given["color"] or _PALETTE["1"]
        row = await call.db.fetchrow(_SQL["create"], given["name"], url, color, *rest)
        if row:
            return Reply({"status": dict(row)})
        if given["url"]:
            break
    raise _url_taken()


async def update(call: Call) -> Reply:
    """Change what is given of a status."""
    given = _given(call.params["status"])
    changes = [given[name] for name in _FIELDS]
    try:
        row = await call.db.fetchrow(_SQL["update"], call.params["id"], *changes)
    except UniqueViolationError as error:
        raise _url_taken() from error
    if row is None:
        raise _unknown()
    return Reply({"id": row["id"]})


async def delete(call: Call) -> Reply:
    """Delete a status that no order has."""
    try:
        row = await call.db.fetchrow(_SQL["delete"], call.params["id"])
    except ForeignKeyViolationError as error:
        in_use = Reject.error("id", "orders have this status")
        raise Reject("status-in-use", errors=[in_use]) from error
    if row is None:
        raise _unknown()
    return Reply({"status": "ok"})


def _url_taken() -> Reject:
    return Reject("url-taken", errors=[Reject.error("status.url", "is taken")])


def _unknown() -> Reject:
    return Reject("invalid-param", errors=[Reject.error("id", "unknown status")])


def _only(status: dict[str, str], fields: Sequence[str]) -> dict[str, str]:
    """A status with the fields that were asked for, in their documented order."""
    if not fields:
        return status
    return {name: value for name, value in status.items() if name in fields}


def _filters(params: dict[str, Any]) -> list[Any]:
    """The filters in the order of the statements; None where one is not given."""
    errors: list[Any] = []
    times = [_time(name, params.get(name), errors) for name in _TIMES]
    if errors:
        raise Reject("invalid-param", errors=errors)
    return [params.get("since_id"), params.get("name"), params.get("sku"), *times]


def _time(name: str, text: str | None, errors: list[Any]) -> datetime | None:
    if text is None:
        return None
    try:
        # The schema saw to its form; 24:00:00 has it, and is the next day's in later Pythons.
        time = datetime.fromisoformat(text)
        if text == time.isoformat(" "):
            return time.replace(tzinfo=UTC)
    except ValueError:
        pass
    errors.append(Reject.error(name, "is no time of the calendar"))
    return None


def _given(status: dict[str, Any]) -> dict[str, str | None]:
    """The fields as they are stored; None where one is not given."""
    given = {name: None if name not in status else str(status[name]) for name in _FIELDS}
    if given["color"] is not None:
        given["color"] = _color(given["color"])
    return given


def _color(text: str) -> str:
    """Six hex digits as they are, or a number of the palette as its color."""
    if _HEX.fullmatch(text):
        return text
    if text not in _PALETTE:
        words = f"must be six hex digits, or a number of the palette: {', '.join(_PALETTE)}"
        raise Reject("invalid-param", errors=[Reject.error("status.color", words)])
    return _PALETTE[text]


async def _free_url(call: Call, name: str | None) -> str:
    """The name as a slug, with the first number behind it that is free."""
    slug = slug_of(name or "")
    taken = {row["url"] for row in await call.db.fetch(_SQL["urls_like"], slug)}
    number = 2
    url = slug
    while url in taken:
        url = f"{slug}-{number}"
        number += 1
    return url


def slug_of(name: str) -> str:
    """`Wysłane dziś` as `wyslane-dzis`: letters folded to ASCII, all else a dash."""
    folded = unicodedata.normalize("NFKD", name.translate(_WITHOUT_DECOMPOSITION))
    ascii_only = folded.encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-") or "status"
