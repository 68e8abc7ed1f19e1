"""Order statuses in Shoplo's dialect: every scalar a string, times in UTC and whole seconds."""

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
    Database,
    ForeignKeyViolation,
    Outcome,
    Rejection,
    RenderCache,
    Reply,
    UniqueViolation,
    batched,
    load_queries,
    statuses,
)

_SQL = load_queries(__file__)

_FIELDS = ("name", "url", "color", "send_mail", "mail_template", "change_type")
_TIMES = ("created_at_min", "created_at_max", "updated_at_min", "updated_at_max")
_PALETTE = {"1": "EC451F", "2": "BEE5FC"}
_HEX = re.compile(r"[0-9A-Fa-f]{6}", re.ASCII)
_WITHOUT_DECOMPOSITION = str.maketrans({"ł": "l", "Ł": "L"})
_ATTEMPTS = 5
_CACHE = RenderCache()


class _Page(NamedTuple):
    """What a list asks for."""

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
    """List the statuses that pass the filters, a page at a time, in the order of their ids."""
    asked = [_asked(call.params, singly=singly) for call in calls]
    pages = await _pages(db, {each for each in asked if isinstance(each, _Page)})
    return [
        _listed(pages[each], call.params.get("fields")) if isinstance(each, _Page) else each
        for call, each in zip(calls, asked, strict=True)
    ]


def _asked(params: dict[str, Any], *, singly: bool) -> _Page | Outcome:
    """The page, or what becomes of the call without one."""
    if "sku" in params and not singly:
        # It reads orders too, and may take long: nobody else should wait for that.
        return RETRY_SINGLY
    limit = params.get("limit", 50)
    # An offset beyond what PostgreSQL counts is an empty page all the same.
    offset = min((params.get("page", 1) - 1) * limit, 2**62)
    try:
        return _Page._make([*_filters(params), limit, offset])
    except Rejection as refusal:
        return refusal


async def _pages(db: Database, asked: Collection[_Page]) -> dict[_Page, bytes]:
    """The JSON of each page; of those whose rows are the same, and unknown, one is fetched."""
    hashes = {page: row["hash"] for page, row in await _read(db, asked, whole=False)}
    pages = _known(hashes)
    one_each = {hash_: page for page, hash_ in hashes.items() if page not in pages}
    pages |= await _fetched(db, one_each.values())
    pages |= _known(hashes)
    # Nobody is left, unless rows changed between the two statements.
    return pages | await _fetched(db, [page for page in asked if page not in pages])


def _known(hashes: Mapping[_Page, int]) -> dict[_Page, bytes]:
    found = ((page, _CACHE.find(hash_)) for page, hash_ in hashes.items())
    return {page: json for page, json in found if json}


async def _fetched(db: Database, pages: Collection[_Page]) -> dict[_Page, bytes]:
    fetched = {}
    for page, row in await _read(db, pages, whole=True):
        fetched[page] = json = (row["rows"] or "[]").encode()
        _CACHE.keep(row["hash"], json)
    return fetched


async def _read(
    db: Database, pages: Collection[_Page], *, whole: bool
) -> Iterable[tuple[_Page, Record]]:
    given = [{**page._asdict(), "i": i, "whole": whole} for i, page in enumerate(pages)]
    rows = await db.fetch(_SQL["index"], given, _CACHE.seed) if given else []
    return zip(pages, rows, strict=True)


def _listed(page: bytes, fields: Sequence[str] | None) -> Reply:
    if fields:
        page = orjson.dumps([_only(status, fields) for status in orjson.loads(page)])
    return Reply({"statuses": orjson.Fragment(page)})


async def count(call: Call) -> Reply:
    """Count the statuses that pass the filters."""
    filters = _filters(call.params)

    async def counted(db: Database) -> Reply:
        row = await db.fetchrow(_SQL["count"], *filters)
        return Reply({"count": row["count"] if row else 0})

    return await call.db.shared(counted, *filters)


async def read(call: Call) -> Reply:
    """One status."""
    row = await call.db.fetchrow(_SQL["read"], call.params["id"])
    if row is None:
        raise _unknown()
    return Reply({"status": _only(orjson.loads(row["status"]), call.params.get("fields", ()))})


async def create(call: Call) -> Reply:
    """A new status; its url is made from its name unless it is given."""
    given = _given(call.params["status"])
    for _ in range(_ATTEMPTS):
        url = given["url"] or await _free_url(call, given["name"])
        rest = (given[name] or "0" for name in ("send_mail", "mail_template", "change_type"))
        color = given["color"] or _PALETTE["1"]
        row = await call.db.fetchrow(_SQL["create"], given["name"], url, color, *rest)
        if row:
            return Reply({"status": orjson.Fragment(row["status"])})
        if given["url"]:
            break
    raise _url_taken()


async def update(call: Call) -> Reply:
    """Change what is given of a status."""
    given = _given(call.params["status"])
    changes = [given[name] for name in _FIELDS]
    try:
        row = await call.db.fetchrow(_SQL["update"], call.params["id"], *changes)
    except UniqueViolation as error:
        raise _url_taken() from error
    if row is None:
        raise _unknown()
    return Reply({"id": row["id"]})


async def delete(call: Call) -> Reply:
    """Delete a status that no order has."""
    try:
        row = await call.db.fetchrow(_SQL["delete"], call.params["id"])
    except ForeignKeyViolation as error:
        in_use = Rejection.error("id", "orders have this status")
        raise Rejection("status-in-use", errors=[in_use]) from error
    if row is None:
        raise _unknown()
    return Reply({"status": "ok"})


def _url_taken() -> Rejection:
    return Rejection("url-taken", errors=[Rejection.error("status.url", "is taken")])


def _unknown() -> Rejection:
    return Rejection(statuses.INVALID_PARAM, errors=[Rejection.error("id", "unknown status")])


def _only(status: dict[str, str], fields: Sequence[str]) -> dict[str, str]:
    """A status with the fields that were asked for, in their documented order."""
    if not fields:
        return status
    wanted = {*fields}
    return {name: value for name, value in status.items() if name in wanted}


def _filters(params: dict[str, Any]) -> list[Any]:
    """The filters in the order of the statements; None where one is not given."""
    errors: list[Any] = []
    times = [_time(name, params.get(name), errors) for name in _TIMES]
    if errors:
        raise Rejection(statuses.INVALID_PARAM, errors=errors)
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
    errors.append(Rejection.error(name, "is no time of the calendar"))
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
        raise Rejection(statuses.INVALID_PARAM, errors=[Rejection.error("status.color", words)])
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
