"""The form of e-mail addresses, and the form by which they are compared.

Services use this module too: `from gateway import emails`.
"""

import re

MAX_LENGTH = 254

_UNFOLDABLE = "\N{REPLACEMENT CHARACTER}"

# White space, control characters (of terminals and of bidirectional text), and what stands for a
# letter that cannot be folded.
_EXCLUDED = r"\s\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff" + _UNFOLDABLE

# One @ and a dot after it; only a mail can show whether the address exists.
_TEXT = rf"[^@{_EXCLUDED}]"
_LABEL = rf"[^@.{_EXCLUDED}]"
_EMAIL = re.compile(rf"{_TEXT}+@{_LABEL}+(?:\.{_LABEL}+)+")


def is_valid(text: str) -> bool:
    """Whether a text has the form of an e-mail address that can be folded."""
    return len(text) <= MAX_LENGTH and _EMAIL.fullmatch(text) is not None and _can_fold(text)


def fold(address: str) -> str:
    """The form of an address under which its account is looked up and its guesses are counted.

    Letter by letter in lower case, as PostgreSQL's `lower` does. A letter whose lower case is
    several characters (`İ`), which PostgreSQL and Python fold differently, becomes a character that
    no valid address has: otherwise one account would be found under several folded forms, each with
    guesses of its own. White space at the ends, which people paste, is left out.
    """
    address = address.strip()
    if address.isascii():
        return address.lower()
    lower = map(str.lower, address)
    return "".join(letter if len(letter) == 1 else _UNFOLDABLE for letter in lower)


def _can_fold(address: str) -> bool:
    return _UNFOLDABLE not in fold(address)
