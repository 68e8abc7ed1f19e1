"""The fixtures and options of the plugin; pytest loads this file by the entry point `pytest11`.

Nothing of the gateway is imported before a fixture is asked for: a run that uses none pays nothing.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gateway.testing.calls import Calls
    from gateway.testing.session import Session
    from gateway.testing.views import Mail, Notifications

_SESSION = pytest.StashKey["Session"]()
_LOCAL = "_gateway_local"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("gateway", "Plano gateway")
    group.addoption(
        "--gateway-url",
        metavar="URL",
        help="Run the tests against this running gateway; those that need its inside are skipped.",
    )
    parser.addini("gateway_app", "The application folder; by default the root folder.", default="")
    parser.addini(
        "gateway_demo",
        "Whether databases have the users and tokens of `gateway dev`.",
        type="bool",
        default=True,
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that got an answer that its route does not document, by any client."""
    outcome = yield
    gateway: Any = getattr(item, "funcargs", {}).get("gateway")
    complaints = list(getattr(gateway, "complaints", {}).values())
    if complaints and outcome.excinfo is None:  # type: ignore[attr-defined]
        from gateway.testing.routes import UndocumentedAnswerError  # noqa: PLC0415

        outcome.force_exception(UndocumentedAnswerError("; ".join(complaints)))  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def gateway_session(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Session]":
    """What all tests of this process share: the application, the server, the template."""
    from gateway.testing.session import Session  # noqa: PLC0415

    root = pytestconfig.rootpath
    cache: Any = getattr(pytestconfig, "cache", None)  # absent with `-p no:cacheprovider`
    session = Session(
        app=root / str(pytestconfig.getini("gateway_app")),
        has_demo=bool(pytestconfig.getini("gateway_demo")),
        # Without a cache the server is this process's own, and so is the template.
        folder=cache.mkdir("gateway") if cache else tmp_path_factory.mktemp("gateway"),
    )
    with session:
        yield session


@pytest.fixture
def gateway(gateway_session: "Session", pytestconfig: pytest.Config) -> "Iterator[Calls]":
    """A gateway with a database of its own; with `--gateway-url` the running one."""
    url = pytestconfig.getoption("gateway_url")
    with ExitStack() as stack:
        with _mistakes_in_one_line():
            made = gateway_session.remote(url) if url else gateway_session.local()
            gateway = stack.enter_context(made)
        yield gateway


@pytest.fixture(scope="session")
def gateway_server(
    gateway_session: "Session",
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Iterator[Calls]":
    """The real command with two workers, and a database that all tests share."""
    _skip_outside(pytestconfig)
    folder = tmp_path_factory.mktemp("gateway-server")
    with ExitStack() as stack:
        with _mistakes_in_one_line():
            gateway = stack.enter_context(gateway_session.processes(folder))
        yield gateway


@pytest.fixture
def gateway_mail(gateway: Any, pytestconfig: pytest.Config) -> "Mail":  # noqa: ANN401
    """The messages that the gateway of this test sent to the Mandrill stand-in."""
    _skip_outside(pytestconfig)
    mail: Mail = gateway.mail
    return mail


@pytest.fixture
def gateway_notifications(gateway: Any, pytestconfig: pytest.Config) -> "Notifications":  # noqa: ANN401
    """The open notifications of the gateway of this test."""
    _skip_outside(pytestconfig)
    notifications: Notifications = gateway.notifications
    return notifications


@contextmanager
def _mistakes_in_one_line() -> Iterator[None]:
    """Report what the author of the tests can mend without the frames of the plugin."""
    from gateway.database.errors import DatabaseError  # noqa: PLC0415
    from gateway.runtime.errors import OperatorError  # noqa: PLC0415

    mistake = None
    try:
        yield
    except (OperatorError, DatabaseError) as error:
        mistake = str(error)
    if mistake is not None:
        pytest.fail(f"the gateway of the tests cannot start: {mistake}", pytrace=False)


def _skip_outside(config: pytest.Config) -> None:
    url = config.getoption("gateway_url")
    if url:
        pytest.skip(f"needs the inside of the gateway, and --gateway-url names {url}")
