"""Who may see the console, and which forms are its own.

The cookie holds a token of `gateway.sessions`. A form is taken if the browser says that it comes
from the console itself (`Sec-Fetch-Site`, W3C Fetch Metadata) and it has a field that only the
console can make: a keyed hash (RFC 2104) of the session's token.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.database.errors import DatabaseUnavailable
from gateway.database.handle import Database
from gateway.database.pool import Pool
from gateway.identity import operators, tokens
from gateway.identity.authenticator import Authenticator
from gateway.identity.credentials import Credentials
from gateway.identity.operators import MAY_ACT, Attempt, OperatorStore
from gateway.values import Session

COOKIE = "plano_console"
CONFIRMED = "plano_console_confirmed"
SIGN_IN_FORM = "plano_console_form"
PATH = "/-/console"
CONFIRMATION_AGE = 12 * 3600
"""Seconds for which a confirmed session may look, but not act, while the database is away."""

SIGN_IN_TIMEOUT = 5.0
DATABASE_TIMEOUT = 2.0
MAX_FORM = 16 * 1024
MAX_FIELDS = 600

Form = Mapping[str, str]


class Operator(NamedTuple):
    """The operator behind a request.

    `is_remembered` means that the database is away and confirmed this operator before; such an
    operator cannot act.
    """

    token: str
    user_id: int
    name: str
    email: str
    may_act: bool
    is_remembered: bool = False

    @property
    def form_token(self) -> str:
        """The value that every form of this session has in its field `form`."""
        return _keyed_hash(self.token.encode(), b"console form")

    @property
    def digest(self) -> bytes:
        """The hash by which the database knows the session."""
        return tokens.digest(self.token)


class ForgedError(Exception):
    """A form that is not the console's own, or that cannot be read; the text says why."""


class Access:
    """Signs operators in and out, and finds the operator of a request.

    `key` is a secret of the workers of one machine, which signs who was confirmed.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        store: OperatorStore,
        identity: Authenticator,
        credentials: Credentials,
        key: bytes,
    ) -> None:
        self.store = store
        self._pool = pool
        self._identity = identity
        self._credentials = credentials
        self._key = key

    async def operator(self, request: Request) -> Operator | None:
        """The operator who is signed in; None for anybody else."""
        token = cookie(request, COOKIE)
        if not tokens.is_token(token):
            return None
        try:
            session = self.store.remembered(token) or await self.store.find(token)
        except DatabaseUnavailable:
            return self._confirmed(request, token)
        if not isinstance(session, Session) or not self._identity.use(session):
            return None
        return Operator(
            token=token,
            user_id=session.user_id,
            name=session.first_name,
            email=session.email,
            may_act=MAY_ACT in session.permissions and self._pool.problem is None,
        )

    def _confirmed(self, request: Request, token: str) -> Operator | None:
        """The operator of a token that the database confirmed before it went away."""
        text, _, signature = cookie(request, CONFIRMED).partition(".")
        if not _is_equal(_keyed_hash(self._key, text.encode()), signature):
            return None
        user_id, name, email, digest, at = orjson.loads(base64.urlsafe_b64decode(text))
        is_recent = time.time() - at < CONFIRMATION_AGE
        if digest != tokens.digest(token).hex() or not is_recent:
            return None
        return Operator(
            token=token,
            user_id=user_id,
            name=name,
            email=email,
            may_act=False,
            is_remembered=True,
        )

    def confirm(self, request: Request, response: Response, operator: Operator) -> None:
        """Let the operator look at the console if the database goes away."""
        # A confirmation must not renew itself: only the database may confirm an operator.
        if self._pool.problem is None and not operator.is_remembered:
            known = [operator.user_id, operator.name, operator.email, operator.digest.hex()]
            text = base64.urlsafe_b64encode(orjson.dumps([*known, int(time.time())])).decode()
            signed = f"{text}.{_keyed_hash(self._key, text.encode())}"
            set_cookie(request, response, CONFIRMED, signed)

    async def sign_in(self, request: Request, form: Form) -> str:
        """Check the fields `email` and `password`; return the token of a new session.

        Raises Rejection and DatabaseUnavailable.
        """
        return await operators.sign_in(
            Database.within(self._pool, SIGN_IN_TIMEOUT),
            self._credentials,
            Attempt(
                email=form.get("email", ""),
                password=form.get("password", ""),
                address=request.client.host if request.client else "",
                # A token that was in the browser before never becomes that of the session.
                replaced=cookie(request, COOKIE) or None,
                deadline=asyncio.get_running_loop().time() + SIGN_IN_TIMEOUT,
            ),
        )

    async def sign_out(self, operator: Operator) -> None:
        """End the session. Raises DatabaseUnavailable."""
        await operators.sign_out(Database.within(self._pool, DATABASE_TIMEOUT), operator.token)
        self.store.cache.forget(operator.digest)


def cookie_name(request: Request, name: str) -> str:
    """The name of a cookie at a port: browsers send cookies to all ports of a host."""
    return f"{name}_{request.url.port}" if request.url.port else name


def cookie(request: Request, name: str) -> str:
    """The value of a cookie; empty if it is missing."""
    return request.cookies.get(cookie_name(request, name), "")


def delete_cookie(request: Request, response: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(cookie_name(request, name), path=PATH)


def set_cookie(request: Request, response: Response, name: str, value: str) -> None:
    """Set a cookie that scripts cannot read and other sites cannot send."""
    name = cookie_name(request, name)
    is_tls = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
    response.set_cookie(name, value, path=PATH, httponly=True, samesite="strict", secure=is_tls)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form. Raises ForgedError unless the console's own page sent it.

    Its field `form` is still to be compared: see `check`.
    """
    # Browsers that do not send the header yet are left to the field.
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise ForgedError("The form was sent from another site.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise ForgedError("The form is too large.")
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise ForgedError("The form cannot be read.") from error
    return dict(fields)


def check(form: Form, expected: str) -> None:
    """Raise ForgedError unless the field `form` has the expected value."""
    if not _is_equal(form.get("form", ""), expected):
        raise ForgedError("The form is outdated. Load the page again, and repeat.")


def new_form_token() -> str:
    """A value for the form that signs in, which has no session yet: a cookie repeats it."""
    return secrets.token_urlsafe(24)


def _is_equal(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that does not show where they differ."""
    # As bytes: the function takes only texts in ASCII, and a cookie may hold anything.
    return hmac.compare_digest(one.encode(), other.encode())


def _keyed_hash(key: bytes, text: bytes) -> str:
    return hmac.new(key, text, hashlib.sha256).hexdigest()
