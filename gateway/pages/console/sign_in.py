"""The form that signs an operator in."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.database.errors import DatabaseUnavailable
from gateway.pages.console import access
from gateway.pages.console.access import COOKIE, PATH, SIGN_IN_FORM, Access, ForgedError
from gateway.pages.render import page
from gateway.values import Rejection

_REASONS = {
    "invalid-password": (401, "The address is unknown, or the password is wrong."),
    "permission-denied": (
        403,
        "This account may not enter: it takes the role `employee` and the permission `ops`.",
    ),
    "rate-limit-exceeded": (429, "Too many attempts. Try again in {seconds} s."),
}


class Form:
    """Shows the form and takes it."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def show(self, request: Request) -> Response:
        """The empty form; an operator who is signed in goes on to the console."""
        if await self._access.operator(request):
            return RedirectResponse(_next(request), 303)
        return await self._page(request, 200, "")

    async def submit(self, request: Request) -> Response:
        """Begin a session with a token that the browser has never seen, or say why not."""
        try:
            form = await access.read_form(request)
            access.check(form, _expected(request))
            token = await self._access.sign_in(request, form)
        except ForgedError as error:
            return await self._page(request, 403, str(error))
        except Rejection as rejection:
            return await self._refused(request, rejection, form.get("email", ""))
        except DatabaseUnavailable:
            return await self._page(request, 503, "The database does not answer. Try again soon.")
        response = RedirectResponse(_next(request), 303)
        access.set_cookie(request, response, COOKIE, token)
        access.delete_cookie(request, response, SIGN_IN_FORM)
        return response

    async def _refused(self, request: Request, rejection: Rejection, email: str) -> Response:
        code, reason = _REASONS.get(rejection.slug, (503, "The gateway is busy. Try again soon."))
        response = await self._page(
            request, code, reason.format(seconds=rejection.retry_after), email
        )
        if rejection.retry_after:
            response.headers["retry-after"] = str(rejection.retry_after)
        return response

    async def _page(self, request: Request, code: int, reason: str, email: str = "") -> Response:
        # The same value for all tabs of a browser; the cookie goes nowhere but to this form.
        value = access.cookie(request, SIGN_IN_FORM) or access.new_form_token()
        response = await run_in_threadpool(
            page,
            "console/sign_in.html",
            code,
            reason=reason,
            email=email,
            form_token=value,
            wanted=_next(request),
            console=PATH,
        )
        access.set_cookie(request, response, SIGN_IN_FORM, value)
        return response


def _expected(request: Request) -> str:
    """The value of the form's field. Raises ForgedError without the cookie that repeats it."""
    value = access.cookie(request, SIGN_IN_FORM)
    if not value:
        raise ForgedError("The form needs cookies. Allow them for this address, and try again.")
    return value


def _next(request: Request) -> str:
    """The page of the console to go to; never one of another site."""
    wanted = request.query_params.get("next", "")
    return wanted if wanted == PATH or wanted.startswith((f"{PATH}/", f"{PATH}?")) else PATH
