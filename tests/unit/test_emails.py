"""E-mail addresses: their form, and the one form under which an account is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import emails


@pytest.mark.parametrize(
    "address", ["a@b.co", "Ada.Fields+x@Example.com", "änne@müller.example", "Änne@example.com"]
)
def test_emails_form_of_an_address_is_valid(address: str) -> None:
    assert emails.is_valid(address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "a", "a@b", "a@@b.co", "a b@c.de", "a@b..co", "a" * 250 + "@b.co"),
        # Controls of terminals (C0, C1) and of bidirectional text, and invisible characters.
        *(f"a{char}b@example.com" for char in "\0\x1b\x7f\x9b\u061c\u200b\u200f\u202e\u2066\ufeff"),
        # No single letter is its lower case.
        *("lİaison@example.com", "a@İ.example", "\N{REPLACEMENT CHARACTER}@example.com"),
    ],
    ids=ascii,
)
def test_emails_other_text_is_invalid(address: str) -> None:
    assert not emails.is_valid(address)


@pytest.mark.parametrize(
    ("address", "folded"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ÄNNE@example.com", "änne@example.com"),
        # Python's lower() looks at the letters around a sigma, PostgreSQL's does not.
        ("ΟΔΟΣ@example.com", "οδοσ@example.com"),
        ("lİaison@example.com", "l\N{REPLACEMENT CHARACTER}aison@example.com"),
    ],
)
def test_emails_fold_is_letter_by_letter(address: str, folded: str) -> None:
    assert emails.fold(address) == folded


@given(st.text(max_size=60))
def test_emails_fold_of_a_folded_text_is_the_same(text: str) -> None:
    assert emails.fold(emails.fold(text)) == emails.fold(text)
