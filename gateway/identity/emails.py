"""The form of e-mail addresses.

Services use this module too: `from gateway import emails`.
"""

import re

MAX_LENGTH = 254

# One @, a dot after it, no white space and no control characters; only a mail can show whether the
# address exists.
_TEXT = r"[^@\s\x00-\x1f\x7f-\x9f]"
_LABEL = r"[^@\s.\x00-\x1f\x7f-\x9f]"
_EMAIL = re.compile(rf"{_TEXT}+@{_LABEL}+(?:\.{_LABEL}+)+")


def is_valid(text: str) -> bool:
    """Whether a text has the form of an e-mail address."""
    return len(text) <= MAX_LENGTH and _EMAIL.fullmatch(text) is not None
