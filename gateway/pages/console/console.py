"""The console: its paths, and what all of its pages share."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.database.errors import DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.monitoring.state import State
from gateway.monitoring.watcher import Watcher
from gateway.pages.console import access, sign_in
from gateway.pages.console.access import DATABASE_TIMEOUT, PATH, Access, ForgedError, Form, Operator
from gateway.pages.render import page
from gateway.registry.follow import Registry


class Tab(NamedTuple):
    """An entry of the navigation; `key` opens it after `g`."""

    title: str
    path: str
    key: str


TABS = (
    Tab("Overview", PATH, "o"),
    Tab("Notifications", f"{PATH}/notifications", "n"),
    Tab("Routes", f"{PATH}/routes", "r"),
    Tab("Services", f"{PATH}/services", "s"),
    Tab("Revisions", f"{PATH}/revisions", "v"),
    Tab("Outbox", f"{PATH}/outbox", "x"),
    Tab("Workers", f"{PATH}/workers", "w"),
)


MAX_ID = 2**63 - 1
MAX_DIGITS = 18
"""Digits of a number in a path or query; Python refuses to parse thousands of digits."""


class Console:
    """What the pages of the console have: the state, the registry, and the database.

    `actions` gives the names of the actions that this worker has code for; `is_stopping` says
    whether it drains.
    """

    def __init__(
        self,
        *,
        access: Access,
        watcher: Watcher,
        registry: Registry,
        pool: Pool,
        actions: Callable[[], Collection[str]],
        is_stopping: Callable[[], bool],
    ) -> None:
        self.access = access
        self.watcher = watcher
        self.registry = registry
        self.pool = pool
        self.actions = actions
        self.is_stopping = is_stopping

    def database(self, seconds: float = DATABASE_TIMEOUT) -> Database:
        """The database for the work of one page or form."""
        return Database.within(self.pool, seconds)

    def routes(self, views: Sequence["Path"]) -> list[Route]:
        """The paths of the console, for a Starlette application."""
        own = [
            Route("/", _to_overview, methods=["GET"]),
            Route(f"{PATH}/", _to_overview, methods=["GET"]),
            Route(f"{PATH}/sign-in", sign_in.Form(self.access).show, methods=["GET"]),
            Route(f"{PATH}/sign-in", sign_in.Form(self.access).submit, methods=["POST"]),
            Route(f"{PATH}/sign-out", self._acting(_sign_out, looks=True), methods=["POST"]),
        ]
        return [*own, *(self._route(view) for view in views)]

    def _route(self, view: "Path") -> Route:
        path = f"{PATH}{view.path}"
        if view.shows:
            return Route(path, self._showing(view.shows), methods=["GET"])
        if view.acts:
            return Route(path, self._acting(view.acts), methods=["POST"])
        raise ValueError(f"{path} neither shows nor acts")

    def _showing(self, show: "Show") -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            operator = await self.access.operator(request)
            if operator is None:
                return _to_sign_in(request)
            try:
                response = await show(self, request, operator)
            except DatabaseUnavailable as error:
                response = await self.unavailable(operator, error)
            self.access.confirm(request, response, operator)
            return response

        return handle

    def _acting(
        self, act: "Act", *, looks: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        """Handle a form; `looks` if an operator without `ops:act` may send it too."""

        async def handle(request: Request) -> Response:
            operator = await self.access.operator(request)
            if operator is None:
                return _to_sign_in(request)
            try:
                form = await access.read_form(request)
                access.check(form, operator.form_token)
                if not (looks or operator.may_act):
                    return await self.forbidden(operator)
                response = await act(self, request, operator, form)
            except ForgedError as error:
                return await self.page("forged.html", operator, code=403, reason=str(error))
            except DatabaseUnavailable as error:
                return await self.unavailable(operator, error)
            self.watcher.forget()
            return response

        return handle

    async def page(
        self,
        template: str,
        operator: Operator,
        *,
        code: int = 200,
        **values: Any,  # noqa: ANN401 - what the template needs
    ) -> Response:
        """A page of the console with the navigation; rendered in a thread."""
        state = values.pop("state", None) or await self.watcher.look()
        common = self.common(state, operator)
        return await run_in_threadpool(page, f"console/{template}", code, **common, **values)

    def common(self, state: State, operator: Operator) -> Mapping[str, Any]:
        """What every page and every live part shows."""
        return {
            "tabs": TABS,
            "operator": operator,
            "state": state,
            "console": PATH,
            "streamed": False,
        }

    async def forbidden(self, operator: Operator) -> Response:
        """The answer to an operator who may look, but not act."""
        return await self.page("forbidden.html", operator, code=403)

    async def unavailable(self, operator: Operator, error: DatabaseUnavailable) -> Response:
        """The answer if a page needs the database, and it does not answer."""
        return await self.page("unavailable.html", operator, code=503, reason=str(error))

    async def missing(self, operator: Operator, what: str) -> Response:
        """The answer for something that does not exist; `what` is a sentence."""
        return await self.page("missing.html", operator, code=404, what=what)


Show: TypeAlias = Callable[[Console, Request, Operator], Awaitable[Response]]
Act: TypeAlias = Callable[[Console, Request, Operator, Form], Awaitable[Response]]


class Path(NamedTuple):
    """A path below the console: `shows` answers GET, `acts` takes a form; one of them is set."""

    path: str
    shows: Show | None = None
    acts: Act | None = None


class _Id(Convertor[int]):
    """An id in a path: `{id:id}`. With too many digits it is the largest id, which no row has."""

    regex = "[0-9]+"

    def convert(self, value: str) -> int:
        return int(value) if len(value) <= MAX_DIGITS else MAX_ID

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _Id())


def path_id(request: Request) -> int:
    """The number in a path, at most the largest id that PostgreSQL can hold."""
    number: int = request.path_params["id"]
    return number


def field_text(fields: Mapping[str, str], name: str) -> str:
    """A field of a query or form, as the database has it: browsers send line ends as CR LF."""
    # A text of PostgreSQL cannot contain NUL.
    return fields.get(name, "").replace("\r\n", "\n").replace("\0", "")


def query_number(request: Request, name: str) -> int | None:
    """A number in the query; None if it is missing, or is not a number."""
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else None


def page_number(request: Request, maximum: int) -> int:
    """The page of a list that `?page=` names, from 1 to `maximum`; 1 if it is not a number."""
    return min(max(query_number(request, "page") or 1, 1), maximum)


def back(path: str) -> Response:
    """After a form: the page that shows what it did, loaded with GET."""
    return RedirectResponse(f"{PATH}{path}", 303)


def _to_sign_in(request: Request) -> Response:
    """Sign in first; then return to a page, but not to a form."""
    is_page = request.method == "GET" and not request.url.path.endswith("/events")
    query = f"?{request.url.query}" if request.url.query else ""
    wanted = f"?next={quote(request.url.path + query, safe='')}" if is_page else ""
    return RedirectResponse(f"{PATH}/sign-in{wanted}", 303)


async def _sign_out(console: Console, request: Request, operator: Operator, _: Form) -> Response:
    try:
        await console.access.sign_out(operator)
        response: Response = RedirectResponse(f"{PATH}/sign-in", 303)
    except DatabaseUnavailable:
        # The session lives on until its time is over, but this browser no longer has it.
        response = await console.page("signed_out.html", operator, code=503)
    for name in (access.COOKIE, access.CONFIRMED):
        access.delete_cookie(request, response, name)
    return response


async def _to_overview(_: Request) -> Response:
    return RedirectResponse(PATH, 308)
