"""Order statuses in Shoplo's format: every scalar is a string, times are UTC in whole seconds."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from asyncpg import Record

from gateway import (
    RETRY_SINGLY,
    Call,
    Connection,
    Database,
    ForeignKeyViolation,
    Outcome,
    Rejection,
    RenderCache,
    Reply,
    batched,
    load_queries,
    statuses,
)

_SQL = load_queries(__file__)

_FIELDS = ("name", "url", "color", "send_mail", "mail_template", "change_type")
_COLUMNS = frozenset(("id", "uuid", *_FIELDS, "created_at", "updated_at"))
_TIMES = ("created_at_min", "created_at_max", "updated_at_min", "updated_at_max")
_PALETTE = {"1": "EC451F", "2": "BEE5FC"}
_HEX = re.compile(r"[0-9A-Fa-f]{6}", re.ASCII)
_WITHOUT_DECOMPOSITION = str.maketrans({"ł": "l", "Ł": "L"})
_CACHE = RenderCache()


class _Page(NamedTuple):
    """The filters and the position of a page; equal pages are fetched once."""

    since_id: int | None
    name: str | None
    sku: str | None
    created_at_min: datetime | None
    created_at_max: datetime | None
    updated_at_min: datetime | None
    updated_at_max: datetime | None
    limit: int
    offset: int


@batched()
async def index(calls: Sequence[Call], db: Database, *, singly: bool) -> list[Outcome]:
    """List the statuses that pass the filters, a page at a time, by ascending id."""
    pages = [_page_or_outcome(call.params, singly=singly) for call in calls]
    json = await _pages(db, {page for page in pages if isinstance(page, _Page)})
    return [
        _list_reply(json[page], call.params.get("fields", ())) if isinstance(page, _Page) else page
        for call, page in zip(calls, pages, strict=True)
    ]


def _page_or_outcome(params: dict[str, Any], *, singly: bool) -> _Page | Outcome:
    """The requested page, or the outcome of a call that is refused or runs alone."""
    if "sku" in params and not singly:
        # This filter reads orders as well and may be slow: the batch should not wait for it.
        return RETRY_SINGLY
    limit = params.get("limit", 50)
    # A page beyond the range of PostgreSQL's bigint is empty, like any page after the last.
    offset = min((params.get("page", 1) - 1) * limit, 2**62)
    try:
        return _Page._make([*_filters(params), limit, offset])
    except Rejection as rejection:
        return rejection


async def _pages(db: Database, pages: Collection[_Page]) -> dict[_Page, bytes]:
    """The JSON of each page; cached pages are not fetched, pages with equal rows once."""
    hashes = {page: row["hash"] for page, row in await _query(db, pages, whole=False)}
    json = _cached(hashes)
    one_per_hash = {hash_: page for page, hash_ in hashes.items() if page not in json}
    json |= await _fetch(db, one_per_hash.values())
    json |= _cached(hashes)
    # Pages are still missing only if rows changed between the two statements.
    return json | await _fetch(db, [page for page in pages if page not in json])


def _cached(hashes: Mapping[_Page, int]) -> dict[_Page, bytes]:
    cached = ((page, _CACHE.find(hash_)) for page, hash_ in hashes.items())
    return {page: json for page, json in cached if json}


async def _fetch(db: Database, pages: Collection[_Page]) -> dict[_Page, bytes]:
    fetched = {}
    for page, row in await _query(db, pages, whole=True):
        fetched[page] = json = (row["rows"] or "[]").encode()
        _CACHE.keep(row["hash"], json)
    return fetched


async def _query(
    db: Database, pages: Collection[_Page], *, whole: bool
) -> Iterable[tuple[_Page, Record]]:
    rows_in = [{**page._asdict(), "i": i, "whole": whole} for i, page in enumerate(pages)]
    rows = await db.fetch(_SQL["index"], rows_in, _CACHE.seed) if rows_in else []
    return zip(pages, rows, strict=True)


def _list_reply(page: bytes, names: Sequence[str]) -> Reply:
    fields, ignored = _requested(names)
    if fields:
        page = orjson.dumps([_select(status, fields) for status in orjson.loads(page)])
    return Reply({"statuses": orjson.Fragment(page)}, ignored=ignored)


async def count(call: Call) -> Reply:
    """Count the statuses that pass the filters."""
    filters = _filters(call.params)

    async def count_rows(db: Database) -> Reply:
        row = await db.fetchrow(_SQL["count"], *filters)
        return Reply({"count": row["count"] if row else 0})

    return await call.db.shared(count_rows, *filters)


async def read(call: Call) -> Reply:
    """Show one status."""
    row = await call.db.fetchrow(_SQL["read"], call.params["id"])
    if row is None:
        raise _unknown()
    fields, ignored = _requested(call.params.get("fields", ()))
    return Reply({"status": _select(orjson.loads(row["status"]), fields)}, ignored=ignored)


async def create(call: Call) -> Reply:
    """Create a status; without `url` in the params its url is derived from its name."""
    fields = _fields(call.params["status"])
    slug = slug_of(fields["url"] or fields["name"] or "")
    color = fields["color"] or _PALETTE["1"]
    flags = [fields[name] or "0" for name in ("send_mail", "mail_template", "change_type")]

    async def insert(db: Connection) -> str:
        url = await _free_url(db, slug)
        json: str = await db.fetchval(_SQL["create"], fields["name"], url, color, *flags)
        return json

    return Reply({"status": orjson.Fragment(await call.db.transaction(insert))})


async def update(call: Call) -> Reply:
    """Change the given fields of a status."""
    status_id, fields = call.params["id"], _fields(call.params["status"])

    async def change(db: Connection) -> Record | None:
        url = fields["url"]
        if url is not None:
            url = await _free_url(db, slug_of(url), status_id)
        changes = {**fields, "url": url}
        row: Record | None = await db.fetchrow(_SQL["update"], status_id, *changes.values())
        return row

    row = await call.db.transaction(change)
    if row is None:
        raise _unknown()
    return Reply({"id": row["id"]})


async def delete(call: Call) -> Reply:
    """Delete a status; refused while orders have it."""
    try:
        row = await call.db.fetchrow(_SQL["delete"], call.params["id"])
    except ForeignKeyViolation as error:
        in_use = Rejection.error("id", "orders have this status")
        raise Rejection("status-in-use", errors=[in_use]) from error
    if row is None:
        raise _unknown()
    return Reply({"status": "ok"})


def _unknown() -> Rejection:
    return Rejection(statuses.INVALID_PARAM, errors=[Rejection.error("id", "unknown status")])


def _requested(names: Sequence[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The fields among these names, and the others, which are ignored; empty ones are dropped."""
    fields = _COLUMNS.intersection(names)
    return fields, tuple(f"fields.{name}" for name in names if name and name not in fields)


def _select(status: dict[str, str], fields: Collection[str]) -> dict[str, str]:
    """The requested fields of a status in their documented order; all if none is requested."""
    return {name: value for name, value in status.items() if name in fields} if fields else status


def _filters(params: dict[str, Any]) -> list[Any]:
    """The filters in the order of the statements' arguments; None for an absent one."""
    errors: list[Any] = []
    times = [_time(name, params.get(name), errors) for name in _TIMES]
    if errors:
        raise Rejection(statuses.INVALID_PARAM, errors=errors)
    return [params.get("since_id"), params.get("name"), params.get("sku"), *times]


def _time(name: str, text: str | None, errors: list[Any]) -> datetime | None:
    if text is None:
        return None
    try:
        # The schema checks the pattern only; newer Pythons read 24:00:00 as the next day.
        time = datetime.fromisoformat(text)
        if text == time.isoformat(" "):
            return time.replace(tzinfo=UTC)
    except ValueError:
        pass
    errors.append(Rejection.error(name, "is not a valid date and time"))
    return None


def _fields(status: dict[str, Any]) -> dict[str, str | None]:
    """The fields as the table stores them; None for an absent one."""
    fields = {name: None if name not in status else str(status[name]) for name in _FIELDS}
    if fields["color"] is not None:
        fields["color"] = _hex_color(fields["color"])
    return fields


def _hex_color(text: str) -> str:
    """Six hex digits unchanged, or those of a palette number."""
    if _HEX.fullmatch(text):
        return text
    if text not in _PALETTE:
        message = f"must be six hex digits or a palette number: {', '.join(_PALETTE)}"
        raise Rejection(statuses.INVALID_PARAM, errors=[Rejection.error("status.color", message)])
    return _PALETTE[text]


async def _free_url(db: Connection, slug: str, own_id: int | None = None) -> str:
    """The slug, with the first free number appended if a status other than `own_id` has it.

    It stays free until the transaction ends: transactions that choose a url wait for each other.
    """
    await db.execute(_SQL["lock_urls"])
    # A second statement, since it must see what others committed before the lock.
    taken = {row["url"] for row in await db.fetch(_SQL["urls_like"], slug, own_id)}
    number = 2
    url = slug
    while url in taken:
        url = f"{slug}-{number}"
        number += 1
    return url


def slug_of(name: str) -> str:
    """`Wysłane dziś` as `wyslane-dzis`: letters folded to ASCII, other characters to dashes."""
    folded = unicodedata.normalize("NFKD", name.translate(_WITHOUT_DECOMPOSITION))
    ascii_only = folded.encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-") or "status"
