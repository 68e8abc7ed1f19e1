"""Settings: one table, loaded or refused as a whole, printed without secrets."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from gateway.settings import SETTINGS, SettingError, Settings, masked, unknown_variables

URL = "postgresql://gateway:hunter2@db.example.com/gateway"


def test_settings_have_defaults_for_everything() -> None:
    loaded = Settings.load({})
    assert (loaded.host, loaded.port, loaded.workers) == ("127.0.0.1", 8000, 1)
    assert (loaded.database_url, loaded.listen_database_url) == ("", "")
    assert (loaded.data_dir, loaded.cors_origins) == (".gateway", ())


def test_settings_table_and_class_have_the_same_names() -> None:
    assert [setting.name for setting in SETTINGS] == [field.name for field in fields(Settings)]
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_setting_has_a_sentence_and_a_valid_default(setting: Any) -> None:
    assert setting.variable == f"GATEWAY_{setting.name.upper()}"
    assert setting.meaning[0].isupper() or setting.meaning.startswith("`")
    assert setting.meaning.endswith(".")
    setting.parse(setting.default)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("host", "0.0.0.0", "0.0.0.0"),
        ("port", "0", 0),
        ("port", "65535", 65535),
        ("port", " 80 ", 80),
        ("port", "", 8000),
        ("port", " ", 8000),
        ("database_connections", "1", 1),
        ("workers", "4", 4),
        ("max_in_flight", "1", 1),
        ("drain_delay", "0", 0.0),
        ("drain_delay", "2.5", 2.5),
        (
            "cors_origins",
            "https://a.example, https://b.example,",
            ("https://a.example", "https://b.example"),
        ),
        ("cors_origins", "*", ("*",)),
        ("mandrill_url", "http://[::1]:8002/api/1.0", "http://[::1]:8002/api/1.0"),
        ("log_level", "debug", "debug"),
    ],
)
def test_setting_value_is_parsed(name: str, text: str, value: object) -> None:
    assert getattr(Settings.load({f"GATEWAY_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "x"),
        ("port", "-1"),
        ("port", "+1"),
        ("port", "65536"),
        ("port", "80.0"),
        ("port", "٣"),
        ("port", "²"),
        ("port", "1_0"),
        ("database_connections", "0"),
        ("workers", "0"),
        ("workers", "two"),
        ("max_in_flight", "0"),
        ("drain_delay", "-1"),
        ("drain_delay", "3600"),
        ("drain_delay", "nan"),
        ("drain_delay", "inf"),
        ("drain_delay", "1s"),
        ("hang_timeout", "1"),
        ("hang_timeout", "-1"),
        ("mandrill_url", "mandrillapp.com"),
        ("mandrill_url", "ftp://mandrillapp.com/"),
        ("mandrill_url", "https:///api/1.0/"),
        ("mandrill_url", "https://mandrillapp.com:port/"),
        ("mandrill_url", "https://mandrillapp.com:65536/"),
        ("mandrill_url", "https://[mandrillapp.com/"),
        ("log_level", "INFO"),
        ("log_level", "loud"),
    ],
)
def test_setting_value_that_is_invalid_is_refused(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=f"GATEWAY_{name.upper()} must be"):
        Settings.load({f"GATEWAY_{name.upper()}": text})


@pytest.mark.parametrize("text", ["-1", "0", "two", "1.5"])
def test_setting_that_counts_says_what_is_allowed(text: str) -> None:
    with pytest.raises(SettingError, match="GATEWAY_WORKERS must be a whole number, 1 or more"):
        Settings.load({"GATEWAY_WORKERS": text})


def test_settings_error_names_every_bad_variable_and_quotes_no_value() -> None:
    bad = {"GATEWAY_PORT": "hunter2", "GATEWAY_WORKERS": "hunter2", "GATEWAY_LOG_LEVEL": "hunter2"}
    with pytest.raises(SettingError) as caught:
        Settings.load({**bad, "GATEWAY_HOST": "localhost", "GATEWAY_DATABASE_URL": URL})
    message = str(caught.value)
    assert all(variable in message for variable in bad)
    assert "GATEWAY_HOST" not in message
    assert "hunter2" not in message


def test_settings_listen_on_the_same_database_by_default() -> None:
    assert Settings.load({"GATEWAY_DATABASE_URL": URL}).listen_database_url == URL
    other = {"GATEWAY_DATABASE_URL": URL, "GATEWAY_LISTEN_DATABASE_URL": "postgresql://direct/x"}
    assert Settings.load(other).listen_database_url == "postgresql://direct/x"


def test_setting_secret_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{URL}\n")
    variables = {"GATEWAY_DATABASE_URL_FILE": str(file)}
    assert Settings.load(variables).database_url == URL
    assert unknown_variables(variables) == []


def test_setting_secret_is_read_from_a_file_that_a_group_can_read(tmp_path: Path) -> None:
    # As systemd's credentials and Kubernetes' secrets are.
    file = tmp_path / "key"
    file.write_text("hunter2")
    file.chmod(0o440)
    assert Settings.load({"GATEWAY_SNAPSHOT_KEY_FILE": str(file)}).snapshot_key == "hunter2"


def test_setting_that_is_not_secret_is_not_read_from_a_file(tmp_path: Path) -> None:
    variables = {"GATEWAY_HOST_FILE": str(tmp_path)}
    assert Settings.load(variables).host == "127.0.0.1"
    assert unknown_variables(variables) == ["GATEWAY_HOST_FILE"]


def test_setting_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    variables = {"GATEWAY_SNAPSHOT_KEY": "a", "GATEWAY_SNAPSHOT_KEY_FILE": str(tmp_path / "key")}
    message = "GATEWAY_SNAPSHOT_KEY and GATEWAY_SNAPSHOT_KEY_FILE are both set: remove one"
    with pytest.raises(SettingError, match=message):
        Settings.load(variables)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file or directory"),
        (b"\xff", "it is not UTF-8"),
        (b"", "it is empty"),
        (b" \n", "it is empty"),
    ],
)
def test_setting_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingError, match=f"GATEWAY_SNAPSHOT_KEY cannot be read from .*{message}"):
        Settings.load({"GATEWAY_SNAPSHOT_KEY_FILE": str(file)})


def test_settings_mask_secrets_and_nothing_else() -> None:
    values = {
        "database_url": URL,
        "listen_database_url": URL,
        "port": 8000,
        "cors_origins": ("https://a.example", "https://b.example"),
    }
    table = {setting.name: setting for setting in SETTINGS}
    assert {name: masked(table[name], value) for name, value in values.items()} == {
        "database_url": "********",
        "listen_database_url": "********",
        "port": "8000",
        "cors_origins": "https://a.example,https://b.example",
    }


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:hunter2@mail.example/api/", "https://********@mail.example/api/"),
        ("https://hunter2@mail.example/api/", "https://********@mail.example/api/"),
        ("https://u:a:b%40@mail.example?x=1", "https://********@mail.example?x=1"),
        (
            "https://mail.example/?api_key=hunter2&x=1&PASSWORD=hunter2#y",
            "https://mail.example/?api_key=********&x=1&PASSWORD=********#y",
        ),
        ("https://mail.example/@ada/?q=a@b", "https://mail.example/@ada/?q=a@b"),
    ],
)
def test_setting_url_is_shown_without_its_password(url: str, shown: str) -> None:
    [mandrill_url] = [setting for setting in SETTINGS if setting.name == "mandrill_url"]
    value = Settings.load({"GATEWAY_MANDRILL_URL": url}).mandrill_url
    assert masked(mandrill_url, value) == shown


def test_setting_that_may_hold_a_password_is_secret() -> None:
    words = ("url", "key", "password", "token", "secret")
    candidates = {
        setting.name for setting in SETTINGS if any(word in setting.name for word in words)
    }
    secret = {setting.name for setting in SETTINGS if setting.secret}
    assert {"database_url", "listen_database_url"} <= secret
    assert candidates - {"mandrill_url"} <= secret


def test_setting_secret_that_is_not_set_is_not_masked() -> None:
    database_url = next(setting for setting in SETTINGS if setting.name == "database_url")
    assert masked(database_url, "") == ""


def test_settings_misspelt_variable_is_reported() -> None:
    environment = {
        "GATEWAY_PROT": "80",
        "GATEWAY_PORT": "80",
        "GATEWAY_TEST_DATABASE_URL": URL,
        "PATH": "/bin",
        "MY_GATEWAY_PORT": "1",
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
    }
    assert unknown_variables(environment) == ["GATEWAY_PROT", "GATEWAY_SERVICE_HOST"]
