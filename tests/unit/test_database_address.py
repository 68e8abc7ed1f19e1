"""The address of a database: its hosts, its options, and what is refused."""

import pytest

from gateway.runtime import database_address
from gateway.settings import SettingError, Settings


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("", [""]),
        ("postgresql://u@h1:5432/db", ["postgresql://u@h1:5432/db"]),
        (
            "postgresql://u:p%40@h1:5432,h2:5433/db?sslmode=require",
            [
                "postgresql://u:p%40@h1:5432/db?sslmode=require",
                "postgresql://u:p%40@h2:5433/db?sslmode=require",
            ],
        ),
        ("postgres://h1,[::1]:5433/db", ["postgres://h1/db", "postgres://[::1]:5433/db"]),
        (
            "postgresql://u@/db?host=h1,%2Frun%2Fpg&port=1,2&sslmode=require",
            [
                "postgresql://u@/db?sslmode=require&host=h1&port=1",
                "postgresql://u@/db?sslmode=require&host=/run/pg&port=2",
            ],
        ),
        (
            "postgresql:///db?host=h1,h2&port=5433",
            ["postgresql:///db?host=h1&port=5433", "postgresql:///db?host=h2&port=5433"],
        ),
    ],
)
def test_hosts_have_an_address_each(address: str, expected: list[str]) -> None:
    assert database_address.one_host_each(address) == expected


def test_hosts_of_the_environment_have_an_address_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "h1,h2")
    monkeypatch.setenv("PGPORT", "1,2")
    assert database_address.one_host_each("postgresql:///db") == [
        "postgresql:///db?host=h1&port=1",
        "postgresql:///db?host=h2&port=2",
    ]


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("postgresql://h1/db", "any"),
        ("postgresql://h1,h2/db", "read-write"),
        ("postgresql://h1,h2/db?target_session_attrs=prefer-standby", "prefer-standby"),
    ],
)
def test_target_of_several_hosts_is_the_one_that_accepts_writes(address: str, target: str) -> None:
    assert database_address.target(address) == target


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ada:hunter2@h1:5432,h2:5433/db?target_session_attrs=read-write",
        "postgresql://ada:hunter2@[::1]:5432,[::2]:5432/db",
        "postgresql://ada:hunter2@h1,[::2]/db",
        "postgresql:///db?host=/run/a,/run/b",
    ],
)
@pytest.mark.parametrize("name", ["DATABASE_URL", "LISTEN_DATABASE_URL"])
def test_setting_takes_the_address_of_several_hosts(name: str, address: str) -> None:
    loaded = Settings.load({f"GATEWAY_{name}": address})
    assert getattr(loaded, name.lower()) == address


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://ada:hunter2@h1:5432,h2:none/db",
        "postgresql://ada:hunter2@h1:5432,,h2/db",
        "postgresql://ada:hunter2@h1,h2:99999/db",
        "postgresql://ada:hunter2@/db?host=h1,h2&port=1,2,3",
        "postgresql://ada:hunter2@h1,h2/db?target_session_attrs=writer",
        "mysql://ada:hunter2@h1,h2/db",
    ],
)
def test_setting_refuses_malformed_hosts_without_the_password(address: str) -> None:
    with pytest.raises(SettingError, match=r"^GATEWAY_DATABASE_URL must ") as caught:
        Settings.load({"GATEWAY_DATABASE_URL": address})
    assert "hunter2" not in str(caught.value)


def test_name_of_the_database_is_replaced_and_the_rest_kept() -> None:
    address = "postgresql://u@h1:1,[::1]:2/db?sslmode=require"
    other = database_address.with_name(address, "other")
    assert other == "postgresql://u@h1:1,[::1]:2/other?sslmode=require"
    assert database_address.name_of(other) == "other"
