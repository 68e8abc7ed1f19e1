"""Tokens: their form and their digest."""

import hashlib

import pytest

from gateway.identity import tokens


@pytest.mark.parametrize(
    ("prefix", "text"),
    [(tokens.APPLICATION_PREFIX, "plano_app_"), (tokens.SESSION_PREFIX, "plano_ses_")],
)
def test_tokens_have_a_readable_prefix_and_256_random_bits(prefix: str, text: str) -> None:
    created = [tokens.make(prefix) for _ in range(50)]
    assert all(token.startswith(text) and tokens.is_token(token) for token in created)
    assert {len(token) for token in created} == {len(text) + 43}
    assert len(set(created)) == len(created)


def test_tokens_digest_is_sha_256() -> None:
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
def test_tokens_is_token_refuses_a_text_of_another_form(text: str) -> None:
    assert not tokens.is_token(text)
