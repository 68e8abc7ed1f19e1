"""The manifest in an editor: yaml-language-server, which finds the schema by the modeline.

`make test-editor` installs the server and runs it.
"""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.harness import ROOT
from support.language_server import LanguageServer, running

SERVER = Path(__file__).parent / "node_modules" / "yaml-language-server" / "bin"
MODELINE = "# yaml-language-server: $schema=gateway/schemas/routes.schema.json\n"
MANIFEST = (
    MODELINE
    + """\
version: 1
namespace: shop
services:
  orders: {kind: python, deployed: true, title: Orders}
routes:
  orders.create:
    method: POST
    deployed: true
    title: Create an order
    auth: [session]
"""
)
_numbers = itertools.count(1)
NO_SCHEMA = "an editor without the schema says nothing of it"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the schemas where the modeline looks for them."""
    folder = tmp_path_factory.mktemp("application")
    shutil.copytree(ROOT / "gateway" / "schemas", folder / "gateway" / "schemas")
    return folder


@pytest.fixture(scope="module")
def server(application: Path) -> Iterator[LanguageServer]:
    with running(["node", str(SERVER / "yaml-language-server"), "--stdio"], application) as started:
        yield started


def new_file(folder: Path) -> Path:
    """A document that is open in the editor and not yet saved."""
    return folder / f"{next(_numbers)}.yaml"


def faults(server: LanguageServer, file: Path, text: str) -> list[tuple[int, str]]:
    """What the server finds: line, counted from 1, and message."""
    found = server.open(file, text)
    return [(each["range"]["start"]["line"] + 1, each["message"]) for each in found]


def labels(completion: Any) -> set[str]:
    items = completion["items"] if isinstance(completion, dict) else completion
    return {item["label"] for item in items}


def test_the_manifest_of_this_project_begins_with_the_modeline(server: LanguageServer) -> None:
    text = (ROOT / "routes.yaml").read_text()
    assert text.startswith(MODELINE)
    assert faults(server, ROOT / "routes.yaml", text) == []
    broken = text.replace("kind: python", "kind: ruby", 1)
    found = [words for _, words in faults(server, new_file(ROOT), broken)]
    assert found == ["must be python or http"]


def test_a_valid_manifest_has_no_diagnostics(server: LanguageServer, application: Path) -> None:
    assert faults(server, new_file(application), MANIFEST) == []
    assert faults(server, new_file(application), "auth: 1\n") == [], NO_SCHEMA


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("timeout: 10", "must be a whole number of ms or s, such as 250ms or 10s"),
        ("timeout: 10 s", "must be a whole number of ms or s, such as 250ms or 10s"),
        (
            "rate_limit: 50",
            "must be a number of calls per second, minute or hour, such as 50/minute",
        ),
        ("max_body: 1MB", "must be a whole number of B, KiB or MiB, such as 512KiB or 1MiB"),
        ("envelope: soap", "must be plano or shoplo"),
        ("documented: off", "must be true or false"),
        ("max_values: many", "must be a whole number"),
        ("sunset: 2027-31-01", "must be a date, such as 2027-01-31"),
        (
            "handler: create",
            "must be <service>.<action> in lower-case letters, digits and _, such as",
        ),
        ("titel: Create", "Property titel is not allowed."),
        ("roles: {shop: [clerk]}", "must be client, employee or liaison"),
        ("params: 7", "must be a JSON Schema, or the path of its file"),
        ("params: {properties: {a: {type: text}}}", "must be one of array, boolean, integer"),
        ("params: {properties: {a: {x-order: first}}}", "must be a whole number, 1 or more"),
        ("params: {properties: {a: {minLenght: 1}}}", "Property minLenght is not allowed."),
    ],
)
def test_a_mistake_is_found_at_its_line(
    server: LanguageServer, application: Path, line: str, message: str
) -> None:
    found = faults(server, new_file(application), f"{MANIFEST}    {line}\n")
    assert [(at, text[: len(message)]) for at, text in found if message in text] == [(12, message)]


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ("privat", "must be public, or a list of application and session"),
        ("[sessions]", "must be application or session"),
    ],
)
def test_an_invalid_choice_is_found_in_our_words(
    server: LanguageServer, application: Path, auth: str, message: str
) -> None:
    text = MANIFEST.replace("auth: [session]", f"auth: {auth}")
    assert faults(server, new_file(application), text) == [(11, message)]


def test_a_missing_key_is_found(server: LanguageServer, application: Path) -> None:
    text = MANIFEST.replace("    auth: [session]\n", "")
    [(line, message)] = faults(server, new_file(application), text)
    assert (line, message) == (7, 'Missing property "auth".')


def test_completion_offers_the_keys_of_a_route_that_it_does_not_have(
    server: LanguageServer, application: Path
) -> None:
    file = new_file(application)
    faults(server, file, MANIFEST + "    \n")
    offered = labels(server.at("textDocument/completion", file, 11, 4))
    assert {"timeout", "rate_limit", "idempotency", "roles", "params"} <= offered
    assert "method" not in offered


def test_completion_offers_the_values_of_a_key(server: LanguageServer, application: Path) -> None:
    file = new_file(application)
    faults(server, file, MANIFEST + "    idempotency: \n")
    offered = labels(server.at("textDocument/completion", file, 11, 17))
    assert {"off", "optional", "required"} <= {label.strip('"') for label in offered}


def test_completion_offers_the_keywords_of_params(
    server: LanguageServer, application: Path
) -> None:
    file = new_file(application)
    faults(server, file, MANIFEST + "    params:\n      properties:\n        stage:\n          \n")
    offered = labels(server.at("textDocument/completion", file, 14, 10))
    assert {"type", "x-order", "x-sensitive", "description", "minLength"} <= offered


def test_hover_shows_the_description_and_an_example(
    server: LanguageServer, application: Path
) -> None:
    file = new_file(application)
    faults(server, file, MANIFEST + "    timeout: 10s\n")
    shown = server.at("textDocument/hover", file, 11, 6)["contents"]["value"]
    assert "The time that a call may take. Default: 10s." in shown
    assert "250ms" in shown


def test_hover_shows_code_as_code(server: LanguageServer, application: Path) -> None:
    file = new_file(application)
    faults(server, file, MANIFEST + "    path: /orders\n")
    shown = server.at("textDocument/hover", file, 11, 5)["contents"]["value"]
    assert "`{name:int}`" in shown
