"""The cache of tokens: by digest, and by the text of those that were just used."""

import pytest
from support.builders import session

from gateway.identity import token_cache, tokens
from gateway.identity.token_cache import FRESH, TokenCache

TOKEN = "plano_ses_" + "a" * 43
SESSION = session()


class Clock:
    """Monotonic seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(clock: Clock) -> TokenCache:
    """A cache that has just found the token by its text."""
    cache = TokenCache(clock)
    cache.store(tokens.digest(TOKEN), SESSION, clock())
    assert cache.fresh(TOKEN) is SESSION
    return cache


def test_token_cache_finds_a_used_token_without_its_digest(
    cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "digest", lambda _: pytest.fail("is not needed"))
    assert cache.fresh(TOKEN) is SESSION


@pytest.mark.parametrize("notice", [f"session:{SESSION.id}", f"user:{SESSION.user_id}", "all:1"])
def test_token_cache_uses_no_token_that_a_notice_names(
    cache: TokenCache, clock: Clock, notice: str
) -> None:
    clock.now += 0.1
    cache.invalidate(notice)
    assert cache.fresh(TOKEN) is None


def test_token_cache_uses_no_token_that_was_forgotten(cache: TokenCache) -> None:
    cache.forget(tokens.digest(TOKEN))
    assert cache.fresh(TOKEN) is None


def test_token_cache_uses_no_token_after_its_time(cache: TokenCache, clock: Clock) -> None:
    clock.now += FRESH
    assert cache.fresh(TOKEN) is None


def test_token_cache_uses_the_newest_answer_for_a_token(cache: TokenCache, clock: Clock) -> None:
    clock.now += FRESH
    newer = session(roles=("employee",))
    cache.store(tokens.digest(TOKEN), newer, clock())
    assert cache.fresh(TOKEN) is newer
    newest = session(roles=())
    cache.store(tokens.digest(TOKEN), newest, clock())
    assert cache.fresh(TOKEN) is newest


def test_token_cache_keeps_a_bounded_number_of_texts(
    cache: TokenCache, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_cache, "MAX_TEXTS", 3)
    for number in range(10):
        token = f"plano_ses_{number:043}"
        cache.store(tokens.digest(token), SESSION, clock())
        assert cache.fresh(token) is SESSION
        assert len(cache._by_text) <= 3
    assert cache.fresh(TOKEN) is SESSION
