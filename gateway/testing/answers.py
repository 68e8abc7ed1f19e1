"""An answer as a test reads it, in either envelope."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

OK = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a call; `response` is httpx2's, with headers and bytes."""

    response: "httpx2.Response"

    @property
    def code(self) -> int:
        """The HTTP status code."""
        return self.response.status_code

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON is any
        """The whole body; None if it is not JSON."""
        try:
            return self.response.json()
        except ValueError:
            return None

    @property
    def status(self) -> str:
        """The slug of the status, such as `action-successful`; empty if the body has none.

        A refusal of the Shoplo dialect has its slug in `help`, the address of the documentation;
        without documentation it is the dialect's own code, `error`.
        """
        body = self.json
        if self.code == OK:
            return "action-successful"
        if not isinstance(body, Mapping):
            return ""
        if body.get("status") != "err":
            return str(body.get("status", ""))
        slug = str(body.get("help", "")).partition("#status.")[2]
        return slug or str(body.get("error", ""))

    @property
    def data(self) -> Any:  # noqa: ANN401 - JSON is any
        """What the action returned, and None for a refusal."""
        body = self.json
        if self.code != OK:
            return None
        is_plano = isinstance(body, Mapping) and body.get("status") == "action-successful"
        return body.get("data") if is_plano else body

    @property
    def errors(self) -> list[dict[str, str]]:
        """The errors of a refusal: each has `attr`, a dotted name, and `message`."""
        body = self.json
        return list(body.get("errors", [])) if isinstance(body, Mapping) else []


def assert_status(answer: "Answer | httpx2.Response", status: str, *, attr: str = "") -> None:
    """Assert that an answer has a status, and an error of the param `attr` if that is given.

    Raises AssertionError with the answer's own status, message and errors.
    """
    __tracebackhide__ = True
    given = answer if isinstance(answer, Answer) else Answer(answer)
    attrs = [error["attr"] for error in given.errors]
    if given.status != status:
        raise AssertionError(f"the status is {_described(given)}, not {status}")
    if attr and attr not in attrs:
        raise AssertionError(f"no error of the param {attr}: {_described(given)}")


def _described(answer: Answer) -> str:
    body = answer.json if isinstance(answer.json, Mapping) else {}
    message = body.get("message") or body.get("error_msg") or ""
    errors = "; ".join(f"{error['attr']}: {error['message']}" for error in answer.errors)
    parts = [f"{answer.status or 'none'} ({answer.code})", message, errors]
    return ", ".join(part for part in parts if part)
