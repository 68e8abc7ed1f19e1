"""Warnings about a manifest: what is allowed, but probably a mistake."""

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from gateway.manifest.check import Desired, RouteRecord, schema_folder
from gateway.manifest.rules.settings_check import FILE
from gateway.manifest.schema_warnings import schema_warnings
from gateway.manifest.upstream_warnings import plain_secrets, useless_retries
from gateway.runtime.suggest import did_you_mean

RESET_ACTION = "users.reset_password"


def warnings(
    manifest: Path,
    desired: Iterable[Desired],
    actions: Iterable[str],
    *,
    batched: Collection[str] = (),
    searched: str = "",
    why_missing: Callable[[str], str] = lambda _: "",
) -> Iterator[str]:
    """The warnings about a valid manifest.

    `actions` are those that have code here, and `batched` those of them that get all waiting calls
    together. `searched` says where code was looked for, and `why_missing` why an action of a
    service with code has none.
    """
    desired = list(desired)
    for warning, handler in _without_code(desired, set(actions)):
        yield "; ".join(part for part in (warning, why_missing(handler) or searched) if part)
    yield from _open_to_new_users(desired)
    yield from _unchecked_settings(schema_folder(manifest), desired)
    yield from _resets_without_page(desired)
    yield from _batched_reads(desired, batched)
    yield from schema_warnings(desired)
    yield from plain_secrets(desired)
    yield from useless_retries(desired)


def _without_code(desired: Iterable[Desired], actions: set[str]) -> Iterator[tuple[str, str]]:
    """The warnings about routes without code, with the actions that are missing."""
    for state, name, route in _deployed_routes(desired):
        handler = route.record["handler"]
        service, _, action = handler.partition(".")
        needs_code = state.services[service]["kind"] == "python"
        if needs_code and state.services[service]["deployed"] and handler not in actions:
            start = f"{service}."
            others = [name.removeprefix(start) for name in actions if name.startswith(start)]
            warning = (
                f"{name}: no code is installed for the action {handler}"
                f"{did_you_mean(action, others)}; calls will answer service-not-found"
            )
            yield warning, handler


def _batched_reads(desired: Iterable[Desired], batched: Collection[str]) -> Iterator[str]:
    """Routes whose `reads` have no effect."""
    for _, name, route in _deployed_routes(desired):
        handler = route.record["handler"]
        if "reads" in route.record and handler in batched:
            why = f"the action {handler} is batched, and uses the primary"
            yield f"{name}: reads has no effect: {why}"


def _open_to_new_users(desired: list[Desired]) -> Iterator[str]:
    """Writing routes that take every role, where a public route may register users."""
    routes = [(name, route.record) for _, name, route in _deployed_routes(desired)]
    public = [name for name, record in routes if not record["auth"] and record["method"] != "GET"]
    for name, record in routes:
        takes_all = "session" in record["auth"] and record["roles"] is None
        if public and takes_all and record["client_required"] and record["method"] != "GET":
            yield (
                f"{name}: every role may call it, and so may a user who has just registered "
                f"through a public route ({', '.join(public)}); name the roles"
            )


def _unchecked_settings(folder: Path, desired: Iterable[Desired]) -> Iterator[str]:
    for state in desired:
        for name, service in state.services.items():
            file = folder / name / FILE
            if service["settings"] and not file.exists():
                yield f"{name}: its settings are not checked, since there is no {file}"


def _resets_without_page(desired: Iterable[Desired]) -> Iterator[str]:
    for state, name, route in _deployed_routes(desired):
        is_reset = route.record["handler"] == RESET_ACTION
        if is_reset and "reset_url" not in state.services["users"]["settings"]:
            yield (
                f"{name}: the settings of users have no reset_url; "
                "calls will answer service-not-found"
            )


def _deployed_routes(desired: Iterable[Desired]) -> Iterator[tuple[Desired, str, RouteRecord]]:
    for state in desired:
        for name, route in state.routes.items():
            if route.record["deployed"]:
                yield state, name, route
