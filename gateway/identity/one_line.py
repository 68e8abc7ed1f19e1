"""Texts of one line, such as people's names and notes: no control characters.

These texts are printed in terminals, logs and mails, which control characters change, and in which
bidirectional marks show another text than there is.
"""

import re

CONTROLS = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
"""For a class of a regular expression: C0, DEL and C1; then line separators, and what changes the
direction of text. Joiners are not among them: names in Persian and in Indian languages need them.
"""

_CONTROL = re.compile(f"[{CONTROLS}]")

MESSAGE = "must not contain control characters"
"""The message for a text that is not of one line, also in the schemas of params."""


def is_one_line(text: str) -> bool:
    """Whether a text has no control character, line break or bidirectional mark."""
    return _CONTROL.search(text) is None
