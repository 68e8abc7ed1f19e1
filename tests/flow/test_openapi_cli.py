"""The command `gateway openapi`: the document of a manifest, and what broke callers."""

from pathlib import Path

import orjson
import pytest
from support.cli import Gateway, gateway_in_process
from support.harness import ROOT

from gateway.manifest.check import check
from gateway.manifest.desired_table import table_of
from gateway.pages.openapi.document import openapi

HEAD = """\
version: 1
namespace: test
services:
  things: {kind: python, deployed: true, title: Things}
  others: {kind: python, deployed: true, title: Others}
routes:
"""
ROUTE = "  {name}: {{method: POST, deployed: true, title: T, auth: [session], params: {params}}}\n"
FREE, STRICT = "{properties: {n: {}}}", "{properties: {n: {}}, required: [n]}"


@pytest.fixture
def gateway(
    registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Gateway:
    """The command in this process, with an empty registry."""
    return gateway_in_process(tmp_path, registry, monkeypatch, capsys)


def apply(gateway: Gateway, **params: str) -> int:
    """Apply a manifest with routes of these names and params; return the new revision."""
    routes = "".join(
        ROUTE.format(name=name.replace("_", "."), params=text) for name, text in params.items()
    )
    Path("routes.yaml").write_text(HEAD + routes)
    code, out, err = gateway("apply", "--json", "--prune")
    assert code == 0, err
    revision: int = orjson.loads(out)[0]["revision"]
    return revision


def test_openapi_prints_the_document_of_a_manifest_without_a_database(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_DATABASE_URL")
    manifest = ROOT / "routes.yaml"
    table = table_of(check(manifest))
    for options, service in (((), None), (("--service", "users"), "users")):
        code, out, err = gateway("openapi", *options, str(manifest))
        assert (code, err) == (0, "")
        assert orjson.loads(out) == openapi(table, service)
    assert openapi(table)["info"]["version"] == "not applied"


def test_openapi_of_an_unknown_service_names_those_that_exist(gateway: Gateway) -> None:
    code, out, err = gateway("openapi", "--service", "user", str(ROOT / "routes.yaml"))
    assert (code, out) == (1, "")
    assert err.startswith("unknown service user (did you mean users?); services: appointments,")


def test_openapi_of_an_invalid_manifest_tells_its_errors(gateway: Gateway) -> None:
    Path("routes.yaml").write_text("version: 2\n")
    code, out, err = gateway("openapi")
    assert (code, out) == (1, "")
    assert "routes.yaml:1" in err


def test_diff_names_what_breaks_callers_since_a_revision_and_exits_2(gateway: Gateway) -> None:
    first = apply(gateway, things_a=FREE, others_b=FREE, things_c=FREE)
    second = apply(gateway, things_a=STRICT, others_b=FREE)
    third = apply(gateway, things_a=STRICT, others_b=STRICT)
    expected = [
        "route others.b breaks callers: param n becomes required",
        "route things.a breaks callers: param n becomes required",
        "route things.c breaks callers: is deleted",
    ]
    assert gateway("openapi", "--diff", str(first)) == (2, "\n".join([*expected, ""]), "")
    assert gateway("openapi", "--diff", str(second))[1].splitlines() == expected[:1]
    code, out, _ = gateway("openapi", "--diff", str(third))
    assert (code, out) == (0, f"nothing has broken callers since revision {third}\n")
    code, out, _ = gateway("openapi", "--diff", str(second), "--json")
    breaks = ["param n becomes required"]
    assert (code, orjson.loads(out)) == (
        2,
        [{"kind": "route", "name": "others.b", "breaks": breaks}],
    )


def test_diff_of_a_service_names_only_its_changes(gateway: Gateway) -> None:
    first = str(apply(gateway, things_a=FREE, others_b=FREE))
    apply(gateway, things_a=FREE, others_b=STRICT)
    assert gateway("openapi", "--diff", first, "--service", "others")[0] == 2
    assert gateway("openapi", "--diff", first, "--service", "things")[0] == 0
    code, _, err = gateway("openapi", "--diff", first, "--service", "other")
    assert code == 1
    assert "did you mean others?" in err


def test_diff_ignores_what_was_undone_since(gateway: Gateway) -> None:
    first = str(apply(gateway, things_a=FREE))
    apply(gateway, things_a=STRICT)
    apply(gateway, things_a=FREE)
    assert gateway("openapi", "--diff", first)[0] == 0


def test_diff_of_an_unknown_revision_or_with_a_manifest_is_an_error(gateway: Gateway) -> None:
    code, _, err = gateway("openapi", "--diff", "99999")
    assert (code, "unknown revision 99999" in err) == (1, True)
    code, _, err = gateway("openapi", "--diff", "1", "routes.yaml")
    assert (code, "leave out the manifest" in err) == (1, True)
