"""The catalogue of statuses against the contract's table."""

import pytest

from gateway import statuses
from gateway.statuses import Status

CONTRACT = {
    "invalid-request": 400,
    "uri-too-long": 414,
    "headers-too-large": 431,
    "route-non-existent": 500,
    "identify-request-error": 500,
    "payload-too-large": 413,
    "invalid-content-type": 400,
    "invalid-encoded-params": 400,
    "no-params-decoded": 400,
    "route-not-found": 500,
    "service-not-found": 500,
    "missing-param": 400,
    "invalid-token": 401,
    "session-expired": 401,
    "client-required": 401,
    "session-required": 400,
    "permission-denied": 403,
    "rate-limit-exceeded": 429,
    "invalid-param": 400,
    "idempotency-conflict": 409,
    "idempotency-mismatch": 422,
    "action-successful": 200,
    "mandrill-email-failed": 500,
    "service-timeout": 504,
    "service-unavailable": 503,
    "application-crash": 500,
}
SEED = {
    *("action-successful", "invalid-token", "session-expired", "client-required"),
    *("missing-param", "invalid-param", "application-crash", "mandrill-email-failed"),
    *("invalid-content-type", "route-non-existent", "no-params-decoded"),
    *("invalid-encoded-params", "route-not-found", "identify-request-error", "service-not-found"),
}
ALL = list(statuses.catalogue())


def test_catalogue_is_the_contract_s_table_in_its_order() -> None:
    assert [(status.slug, status.http) for status in statuses.catalogue()] == [*CONTRACT.items()]


def test_catalogue_has_fifteen_statuses_of_the_seed() -> None:
    assert {status.slug for status in statuses.catalogue() if status.seed} == SEED
    assert len(SEED) == 15


def test_catalogue_finds_common_statuses_by_slug() -> None:
    assert {slug: status.http for slug, status in statuses.COMMON.items()} == CONTRACT
    assert all(slug == status.slug for slug, status in statuses.COMMON.items())
    assert statuses.SUCCESS is statuses.COMMON["action-successful"]


@pytest.mark.parametrize("status", ALL, ids=lambda status: status.slug)
def test_catalogue_refusal_has_a_fault_and_below_500_it_is_the_caller_s(status: Status) -> None:
    assert (status.fault == "none") == (status.http == 200)
    assert status.fault == "caller" or not 400 <= status.http < 500


def test_catalogue_unknown_route_is_the_caller_s_fault_despite_500() -> None:
    assert statuses.COMMON["route-non-existent"].fault == "caller"
    assert statuses.COMMON["application-crash"].fault == "gateway"


@pytest.mark.parametrize("status", ALL, ids=lambda status: status.slug)
def test_catalogue_meaning_is_a_sentence(status: Status) -> None:
    assert status.meaning[0].isupper()
    assert status.meaning.endswith(".")


def test_catalogue_duplicate_slug_is_refused() -> None:
    duplicate = Status("invalid-param", 400, "validate", "caller", "Again.")
    with pytest.raises(ValueError, match="duplicate status in the catalogue: invalid-param"):
        statuses._by_slug((*statuses.catalogue(), duplicate))


def test_catalogue_route_s_own_statuses_are_the_caller_s_fault() -> None:
    own = statuses.route_statuses({"email-not-found": (400, "No user has this address.")})
    expected = Status("email-not-found", 400, "service", "caller", "No user has this address.")
    assert own == {"email-not-found": expected}
    assert not own["email-not-found"].seed
