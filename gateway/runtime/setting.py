"""What a setting is: an environment variable with a default, a meaning, and a function to read it.

The value of a secret may also come from a file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table: `name` is the variable without `GATEWAY_`, in lower case.

    `parse` turns the variable's text into the value. It raises ValueError with what is allowed;
    that message never quotes a secret.
    """

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any] = str
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"GATEWAY_{self.name.upper()}"

    @property
    def file_variable(self) -> str:
        """The environment variable that names a file with the value; secrets alone have it."""
        return f"{self.variable}_FILE"

    def text(self, environment: Mapping[str, str]) -> str:
        """The text of the variable, or of the file that holds the secret. Raises ValueError."""
        text = environment.get(self.variable, "").strip()
        file = environment.get(self.file_variable, "").strip() if self.secret else ""
        if not file:
            return text
        if text:
            raise ValueError(f"and {self.file_variable} are both set: remove one of them")
        return _content(file)


def _content(file: str) -> str:
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "it is not UTF-8")
        raise ValueError(f"cannot be read from {file}: {reason}") from error
    if not text:
        # Such as a secret that is not written yet: the default would mean to do without it.
        raise ValueError(f"cannot be read from {file}: it is empty")
    return text
