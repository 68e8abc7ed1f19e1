"""Tokens: their form, and that only a digest of them need be kept."""

import hashlib

import pytest

from gateway.identity import tokens


@pytest.mark.parametrize(
    ("prefix", "written"),
    [(tokens.APPLICATION_PREFIX, "plano_app_"), (tokens.SESSION_PREFIX, "plano_ses_")],
)
def test_a_token_has_a_readable_prefix_and_256_bits(prefix: str, written: str) -> None:
    made = [tokens.make(prefix) for _ in range(50)]
    assert all(token.startswith(written) and tokens.is_token(token) for token in made)
    assert {len(token) for token in made} == {len(written) + 43}
    assert len(set(made)) == len(made)


def test_a_token_is_stored_as_its_sha_256() -> None:
    assert tokens.digest("plano_ses_x") == hashlib.sha256(b"plano_ses_x").digest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plano_ses_",
        "x" * 53,
        "plano_ses_" + "a" * 42,
        "plano_ses_" + "a" * 44,
        "plano_xyz_" + "a" * 43,
        "PLANO_SES_" + "a" * 43,
        " plano_ses_" + "a" * 43,
        "plano_ses_" + "a" * 43 + "\n",
        "plano_ses_" + "a" * 42 + "\0",
        "plano_ses_" + "a" * 42 + "+",
        "plano_ses_" + "ą" * 43,
        "plano_ses_" + "٣" * 43,
    ],
    ids=repr,
)
def test_a_text_of_another_form_is_never_looked_up(text: str) -> None:
    assert not tokens.is_token(text)
