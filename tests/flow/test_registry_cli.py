"""The commands of the registry: exit codes, JSON, colour, and messages about mistakes."""

import asyncio
import io
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console
from support.cli import Gateway, gateway_in_process
from support.harness import ROOT, execute, on
from support.manifests import wipe

from gateway.cli.plans import print_applied, print_plan
from gateway.database.connect import Connection
from gateway.manifest.apply import Applied
from gateway.manifest.plan import Plan
from gateway.manifest.records.change import Change
from gateway.registry.revision import Revision

HEAD = """\
version: 1
namespace: {namespace}
services:
  {service}: {{kind: python, deployed: true, title: Things}}
routes:
"""
ROUTE = (
    "  {name}: {{method: POST, deployed: {deployed}, title: {title}, "
    "auth: [session], params: {{}}}}\n"
)


@pytest.fixture
def gateway(
    registry: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Gateway:
    """The command in this process; a call returns exit code, standard output and standard error."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return gateway_in_process(tmp_path, registry, monkeypatch, capsys)


def manifest(
    *names: str, title: str = "T", namespace: str = "test", deployed: str = "false"
) -> str:
    service = names[0].partition(".")[0] if names else "things"
    head = HEAD.format(namespace=namespace, service=service)
    routes = "".join(ROUTE.format(name=n, title=title, deployed=deployed) for n in names)
    return head + (routes or "  {}\n")


def write(text: str, file: str = "routes.yaml") -> None:
    Path(file).write_text(text)


def rows(url: str, query: str) -> list[Any]:
    return [tuple(row) for row in asyncio.run(execute(url, query))]


# plan


def test_plan_exits_2_with_changes_and_0_without(gateway: Gateway) -> None:
    write(manifest("things.create"))
    code, out, err = gateway("plan")
    assert (code, err) == (2, "")
    assert out == ("namespace test, at revision 0\n  + service things\n  + route things.create\n")
    assert gateway("apply")[0] == 0
    assert gateway("plan") == (0, "namespace test, at revision 1\n  nothing to change\n", "")


def test_plan_prints_changed_fields_and_breakages(gateway: Gateway) -> None:
    write(manifest("things.create", deployed="true"))
    gateway("apply")
    text = manifest("things.create", title="New", deployed="true")
    write(text.replace("POST", "PUT").replace("{}}", "{properties: {n: {}}, required: [n]}}"))
    code, out, _ = gateway("plan")
    assert code == 2
    assert out.splitlines() == [
        "namespace test, at revision 1",
        "  ~ route things.create",
        '      method: "POST" -> "PUT"',
        '      title: "T" -> "New"',
        "      params.properties.n: (none) -> {}",
        '      params.required: ["token"] -> ["n","token"]',
        "      breaks callers: method changes from POST to PUT",
        "      breaks callers: param n becomes required",
    ]


def test_plan_and_dump_show_reads_as_they_are_written(gateway: Gateway) -> None:
    write(manifest("things.list", deployed="true"))
    gateway("apply")
    reads = "reads: {from: replica, stale: 5s}"
    write(manifest("things.list", deployed="true").replace("title: T,", f"title: T, {reads},"))
    _, out, _ = gateway("plan")
    assert '      reads: (none) -> {"from":"replica","stale":"5s"}\n' in out
    assert "      breaks callers: answers may be 5s old\n" in out
    gateway("apply")
    _, dumped, _ = gateway("dump")
    assert "    reads:\n      from: replica\n      stale: 5s\n" in dumped
    write(
        manifest("things.list", deployed="true").replace(
            "title: T,", "title: T, reads: {from: replica, stale: 6s},"
        )
    )
    assert "      reads.stale: 5s -> 6s\n" in gateway("plan")[1].replace('"', "")
    write(dumped)
    assert gateway("plan")[0] == 0


def test_apply_says_that_reads_need_the_address_of_a_replica(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        manifest("things.list").replace("title: T,", "title: T, reads: {from: replica, stale: 5s},")
    )
    code, _, err = gateway("apply")
    assert code == 0
    assert err == (
        "note: 1 route has `reads`, and GATEWAY_REPLICA_DATABASE_URL is not set here; gateways "
        "without it read from the primary\n"
    )
    monkeypatch.setenv("GATEWAY_REPLICA_DATABASE_URL", "postgresql://replica/gateway")
    assert gateway("apply")[2] == ""


def test_plan_without_prune_leaves_missing_records_alone_and_exits_0(gateway: Gateway) -> None:
    write(manifest("things.create", "things.read"))
    gateway("apply")
    write(manifest("things.create"))
    code, out, _ = gateway("plan")
    assert code == 0
    assert "  things.read: kept, although the manifest leaves it out; --prune deletes it\n" in out
    code, out, _ = gateway("plan", "--prune")
    assert code == 2
    assert "  - route things.read\n" in out
    assert gateway("apply")[1] == (
        "things.read: kept, although the manifest leaves it out; --prune deletes it\n"
        "namespace test has nothing to change at revision 1\n"
    )
    assert gateway("apply", "--prune")[1] == (
        "- route things.read\nnamespace test is at revision 2\n"
    )


@pytest.mark.parametrize("words", [["plan"], ["plan", "--json"], ["apply"], ["check"]])
def test_manifest_commands_exit_1_with_the_errors_of_the_manifest(
    gateway: Gateway, words: list[str]
) -> None:
    write(manifest("things.create").replace("things:", "parts:"))
    code, out, err = gateway(*words)
    assert (code, out) == (1, "")
    assert err.startswith("routes.yaml:6: routes: things.create: handler: unknown service")


@pytest.mark.parametrize("words", [["plan"], ["apply"], ["dump"], ["history"], ["rollback", "1"]])
def test_registry_commands_exit_1_without_a_database(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    write(manifest("things.create"))
    monkeypatch.setenv("GATEWAY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    code, out, err = gateway(*words)
    assert (code, out) == (1, "")
    assert "connection refused" in err


def test_apply_exits_1_if_the_database_goes_away_meanwhile(
    gateway: Gateway, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(manifest("things.create"))

    async def cut(connection: Connection, *_: Any) -> None:
        [row] = await connection.fetch("select pg_backend_pid() as pid")
        await execute(registry, "select pg_terminate_backend($1)", row["pid"])
        await connection.execute("select 1")

    monkeypatch.setattr("gateway.manifest.records.stored.read", cut)
    code, out, err = gateway("apply")
    assert (code, out) == (1, "")
    assert re.match("the database [^ ]+ cannot be used: ", err.splitlines()[-1])


def test_plan_exits_1_on_a_record_of_another_namespace(gateway: Gateway) -> None:
    write(manifest("things.create"))
    gateway("apply")
    write(manifest("things.create", namespace="other"))
    for verb in ("plan", "apply"):
        code, out, err = gateway(verb)
        assert (code, out) == (1, "")
        assert err.splitlines() == [
            f"routes.yaml:{line}: {path}: belongs to the namespace test; "
            "take another name, or delete it there first"
            for line, path in ((4, "services: things"), (6, "routes: things.create"))
        ]


# A pinned plan


def test_pinned_plan_can_be_applied(gateway: Gateway, registry: str) -> None:
    write(manifest("things.create"))
    assert gateway("plan", "-o", "plan.json")[0] == 2
    Path("routes.yaml").unlink()
    code, out, err = gateway("apply", "plan.json", "--actor", "ada", "--message", "as planned")
    assert (code, err) == (0, "")
    assert out.endswith("namespace test is at revision 1\n")
    assert rows(registry, "select applied_by, message, source from gateway.revisions") == [
        ("ada", "as planned", "plan.json")
    ]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("nowhere/plan.json", "nowhere/plan.json: cannot be written: No such file or directory\n"),
        ("plan.yaml", "plan.yaml: the file of a pinned plan must end in .json\n"),
    ],
)
def test_plan_exits_1_if_its_file_cannot_be_written(gateway: Gateway, file: str, why: str) -> None:
    write(manifest("things.create"))
    assert gateway("plan", "-o", file) == (1, "", why)


@pytest.mark.parametrize("verb", ["check", "plan"])
def test_pinned_plan_is_not_taken_for_a_manifest(gateway: Gateway, verb: str) -> None:
    write(manifest("things.create"))
    gateway("plan", "-o", "plan.json")
    hint = "plan.json: is a pinned plan, not a manifest; run `gateway apply plan.json`\n"
    assert gateway(verb, "plan.json") == (1, "", hint)


def test_pinned_plan_that_was_cut_short_is_refused(gateway: Gateway) -> None:
    Path("plan.json").write_text('{"format":')
    _, _, err = gateway("apply", "plan.json")
    assert err.startswith("plan.json: is not valid JSON, so not a pinned plan")


def test_pinned_plan_prunes_if_the_plan_did(gateway: Gateway) -> None:
    write(manifest("things.create", "things.read"))
    gateway("apply")
    write(manifest("things.create"))
    assert gateway("plan", "--prune", "--output", "plan.json")[0] == 2
    assert gateway("apply", "plan.json")[1].startswith("- route things.read\n")


def test_pinned_plan_of_another_database_exits_1(gateway: Gateway, registry: str) -> None:
    write(manifest("things.create"))
    gateway("apply")
    assert gateway("plan", "--prune", "-o", "plan.json")[0] == 0
    asyncio.run(on(registry, wipe))
    write(manifest("things.create", "things.read"))
    gateway("apply")
    code, out, err = gateway("apply", "plan.json")
    assert (code, out) == (1, "")
    assert err == (
        "the plan is out of date: it was made for revision 1 of the namespace test, which is now "
        "at another revision 1 (another database, or one that went back); "
        "run `gateway plan` again\n"
    )


def test_pinned_plan_of_records_changed_by_hand_exits_1(gateway: Gateway, registry: str) -> None:
    write(manifest("things.create"))
    gateway("apply")
    write(manifest("things.create", title="New"))
    assert gateway("plan", "-o", "plan.json")[0] == 2
    rows(registry, 'update gateway.routes set record = record || \'{"title": "By hand"}\'')
    code, out, err = gateway("apply", "plan.json")
    assert (code, out) == (1, "")
    assert err.startswith("the plan was made for another registry: here the namespace test holds")


def test_pinned_plan_with_a_changed_base_exits_1(gateway: Gateway, registry: str) -> None:
    write(manifest("things.create"))
    gateway("plan", "-o", "plan.json")
    write(manifest("things.create", title="Other"))
    gateway("apply")
    message = (
        "the plan is out of date: it was made for revision 0 of the namespace test, "
        "which is now at revision 1; run `gateway plan` again\n"
    )
    assert gateway("apply", "plan.json") == (1, "", message)
    assert len(rows(registry, "select id from gateway.revisions")) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 7}', '{"format": 1, "desired": [[]]}'])
def test_apply_exits_1_on_an_invalid_plan_file(gateway: Gateway, text: str) -> None:
    write(text, "plan.json")
    code, out, err = gateway("apply", "plan.json")
    assert (code, out) == (1, "")
    assert err.startswith("plan.json: ")
    assert gateway("apply", "none.json")[0] == 1


# JSON, colour


def test_registry_commands_print_the_same_content_as_json(gateway: Gateway, registry: str) -> None:
    write(manifest("things.create", deployed="true"))
    code, out, _ = gateway("plan", "--json")
    assert code == 2
    added = [
        {"verb": "add", "kind": "service", "name": "things"},
        {"verb": "add", "kind": "route", "name": "things.create"},
    ]
    plan = {
        "namespace": "test",
        "base": 0,
        "base_uid": None,
        "breaking": [],
        "left_alone": [],
    }
    with_fields = [{**change, "fields": []} for change in added]
    assert orjson.loads(out) == [{**plan, "changes": with_fields}]
    [applied] = orjson.loads(gateway("apply", "--json")[1])
    [(uid,)] = rows(registry, "select uid::text from gateway.revisions")
    expected = {**plan, "revision": 1, "revision_uid": uid, "changes": added}
    del expected["base"], expected["base_uid"]
    assert applied == expected
    code, out, _ = gateway("plan", "--json")
    expected = {**plan, "base": 1, "base_uid": uid, "changes": []}
    assert (code, orjson.loads(out)) == (0, [expected])
    write(manifest("things.create", title="New", deployed="false"))
    [planned] = orjson.loads(gateway("plan", "--json")[1])
    assert planned["changes"][0]["fields"] == [
        {"field": "deployed", "before": True, "after": False},
        {"field": "title", "before": "T", "after": "New"},
    ]
    assert planned["breaking"] == [
        {"kind": "route", "name": "things.create", "breaks": ["is no longer deployed"]}
    ]
    gateway("apply")
    [newest, oldest] = orjson.loads(gateway("history", "--json")[1])
    assert oldest["uid"] == uid != newest["uid"]
    assert uid in gateway("history")[1]
    assert {name: newest[name] for name in ("revision", "added", "changed", "deleted")} == {
        "revision": 2,
        "added": 0,
        "changed": 1,
        "deleted": 0,
    }
    [change] = orjson.loads(gateway("history", "2", "--json")[1])["changes"]
    change["fields"].sort(key=lambda field: field["field"])
    assert [change] == planned["changes"]
    assert orjson.loads(gateway("rollback", "2", "--json")[1]) == []
    code, out, _ = gateway("rollback", "1", "--dry-run", "--json")
    assert (code, orjson.loads(out)[0]["changes"][0]["verb"]) == (2, "change")
    [back] = orjson.loads(gateway("rollback", "1", "--json")[1])
    assert (back["revision"], [change["verb"] for change in back["changes"]]) == (3, ["change"])


def test_registry_commands_print_no_colour_without_a_terminal(gateway: Gateway) -> None:
    write(manifest("things.create", title="'a [red]b[/red] \\x1b c'"))
    printed = [
        gateway(*words)
        for words in (
            ["plan"],
            ["apply"],
            ["plan"],
            ["history"],
            ["history", "1"],
            ["rollback", "1"],
        )
    ]
    assert [code for code, _, _ in printed] == [2, 0, 0, 0, 0, 0]
    assert "\x1b" not in "".join(out + err for _, out, err in printed)


def test_plan_and_apply_are_coloured_on_a_terminal() -> None:
    change = Change("route", "a.b", {"deployed": True}, None)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, color_system="standard")
    print_plan(console, Plan("test", Revision(1, None), [change]))
    print_applied(console, Applied("test", 1, None, [change], []))
    coloured = [line for line in screen.getvalue().splitlines() if "- route a.b" in line]
    assert len(coloured) == 2
    assert all("\x1b[31m" in line for line in coloured)


def test_plan_breaks_no_long_line(gateway: Gateway) -> None:
    name = f"things.{'a' * 120}"
    write(manifest(name, title="'" + "word " * 100 + "'"))
    assert f"  + route {name}\n" in gateway("plan")[1]
    gateway("apply")
    write(manifest(name, title="'" + "[other] " * 100 + "'"))
    _, out, _ = gateway("plan")
    [line] = [line for line in out.splitlines() if line.startswith("      title: ")]
    assert line.count("…") == 2
    write(manifest())
    assert (
        f"  {name}: kept, although the manifest leaves it out; --prune deletes it\n"
        in gateway("plan")[1]
    )


# dump, history, rollback


def test_dump_is_a_manifest_with_an_empty_plan(gateway: Gateway) -> None:
    write(manifest("things.create", title="'off'") + "---\n" + manifest("off.null", namespace="on"))
    gateway("apply")
    code, dumped, err = gateway("dump")
    assert (code, err) == (0, "")
    write(dumped, "dump.yaml")
    assert gateway("plan", "dump.yaml", "--prune")[0] == 0
    write(manifest().replace("things:", "others:"))
    write(manifest(namespace="on").replace("things:", "more:"), "on.yaml")
    for file in ("routes.yaml", "on.yaml"):
        assert gateway("apply", file, "--prune")[0] == 0
    assert gateway("plan", "dump.yaml")[0] == 2
    gateway("apply", "dump.yaml", "--prune")
    assert gateway("dump")[1] == dumped


def test_dump_of_some_namespaces(gateway: Gateway) -> None:
    texts = [manifest(f"{name}.create", namespace=name) for name in ("one", "two", "three")]
    write("---\n".join(texts))
    gateway("apply")
    code, dumped, _ = gateway("dump", "--namespace", "two", "--namespace", "one")
    assert code == 0
    assert [line for line in dumped.splitlines() if line.startswith("namespace")] == [
        "namespace: one",
        "namespace: two",
    ]
    code, out, err = gateway("dump", "--namespace", "four")
    assert (code, out) == (1, "")
    assert err == "unknown namespace four; known namespaces: one, three, two\n"


def test_dump_of_an_empty_registry_is_empty_and_refused_as_a_manifest(gateway: Gateway) -> None:
    write(gateway("dump")[1], "dump.yaml")
    message = "dump.yaml: the file is empty, or has only comments; it may have been cut short\n"
    for verb in ("check", "plan", "apply"):
        assert gateway(verb, "dump.yaml") == (1, "", message)


def test_history_lists_who_when_why_and_what(gateway: Gateway) -> None:
    write(manifest("things.create"))
    gateway("apply", "--actor", "ada", "--message", "we [bold]go[/bold] live")
    write(manifest("things.create", title="New"))
    gateway("apply", "--actor", "ben")
    gateway("rollback", "1", "--actor", "cy")
    code, out, _ = gateway("history")
    assert code == 0
    lines = [words for line in out.splitlines() if (words := line.split()) and "test" in words]
    assert [line[0] for line in lines] == ["3", "2", "1"]
    for line, word in zip(lines, ("cy", "ben", "ada"), strict=True):
        assert word in line, out
    assert "we [bold]go[/bold] live" in out
    assert len(gateway("history", "--limit", "1")[1].splitlines()) < len(out.splitlines())
    code, out, _ = gateway("history", "2")
    assert code == 0
    assert '      title: "T" -> "New"' in out


@pytest.mark.parametrize("words", [["history", "7"], ["rollback", "7"]])
def test_history_and_rollback_exit_1_on_an_unknown_revision(
    gateway: Gateway, words: list[str]
) -> None:
    assert gateway(*words) == (1, "", "unknown revision 7; `gateway history` lists the revisions\n")


def test_rollback_prints_its_changes_or_that_nothing_changes(gateway: Gateway) -> None:
    write(manifest("things.create"))
    gateway("apply")
    assert gateway("rollback", "1") == (
        0,
        "nothing to change: the registry is the same as at revision 1\n",
        "",
    )
    write(manifest("things.create", "things.read"))
    gateway("apply")
    assert gateway("rollback", "1", "--wait") == (
        0,
        "- route things.read\nnamespace test is at revision 3\n",
        "",
    )
    assert gateway("rollback", "-1")[0] == 1


def test_rollback_to_0_exits_1_and_changes_nothing(gateway: Gateway) -> None:
    write(manifest("things.create"))
    gateway("apply")
    for words in ([], ["--dry-run"], ["--max-deletes", "100"]):
        code, out, err = gateway("rollback", "0", *words)
        assert (code, out) == (1, "")
        assert err.startswith("revision 0 is the empty registry, which a rollback cannot restore; ")
    assert gateway("plan")[0] == 0


def test_rollback_dry_run_prints_and_exits_as_plan_and_changes_nothing(gateway: Gateway) -> None:
    write(manifest("things.create", deployed="true"))
    gateway("apply")
    write(manifest("things.create", "things.read", deployed="true"))
    gateway("apply")
    assert gateway("rollback", "1", "--dry-run") == (
        2,
        (
            "namespace test, at revision 2\n"
            "  - route things.read\n"
            "      breaks callers: is deleted\n"
        ),
        "",
    )
    code, _, err = gateway("rollback", "1", "--no-breaking", "--dry-run")
    assert (code, err.splitlines()[-1]) == (1, "  route things.read: is deleted")
    code, out, err = gateway("rollback", "1", "--no-breaking")
    assert (code, out, err.splitlines()[-1]) == (1, "", "  route things.read: is deleted")
    assert gateway("rollback", "2", "--dry-run")[0] == 0
    assert gateway("plan")[0] == 0


def test_rollback_further_than_the_newest_revision_has_the_limit_of_apply(
    gateway: Gateway,
) -> None:
    write(manifest("things.create"))
    gateway("apply")
    many = [f"things.a{n}" for n in range(11)]
    write(manifest("things.create", *many))
    gateway("apply")
    write(manifest("things.create", *many, title="New"))
    gateway("apply")
    code, out, err = gateway("rollback", "1")
    assert (code, out) == (1, "")
    assert "see `gateway rollback 1 --dry-run`, or add --max-deletes 11" in err
    assert gateway("rollback", "2")[0] == 0
    assert gateway("rollback", "1", "--max-deletes", "11")[0] == 0


def test_rollback_of_the_newest_revision_deletes_without_a_limit(gateway: Gateway) -> None:
    write(manifest("things.create"))
    gateway("apply")
    write(manifest("things.create", *(f"things.a{n}" for n in range(11))))
    gateway("apply")
    assert gateway("rollback", "1")[0] == 0


# What breaks callers, renames, forms of output


def test_apply_prints_what_breaks_callers_and_no_breaking_refuses_it(gateway: Gateway) -> None:
    write(manifest("things.create", deployed="true"))
    assert gateway("apply", "--no-breaking")[0] == 0
    write(manifest("things.create", deployed="true").replace("POST", "PUT"))
    code, out, err = gateway("apply", "--no-breaking")
    assert (code, out) == (1, "")
    assert err.splitlines()[-2:] == [
        "nothing was changed: this would break callers, which --no-breaking refuses:",
        "  route things.create: method changes from POST to PUT",
    ]
    code, out, _ = gateway("apply")
    assert (code, out) == (
        0,
        (
            "~ route things.create\n"
            "    breaks callers: method changes from POST to PUT\n"
            "namespace test is at revision 2\n"
        ),
    )


def test_plan_and_history_print_values_as_the_file_has_them(gateway: Gateway) -> None:
    fields = "max_body: {}, rate_limit: {}, timeout: {}, sensitive_params: {}, title"
    first = fields.format("1MiB", "50/minute", "10s", "false")
    write(manifest("things.create", deployed="true").replace("title: T,", f"{first}: T,"))
    gateway("apply")
    second = fields.format("512KiB", "2/second", "250ms", "true")
    write(
        manifest("things.create", deployed="true")
        .replace("title: T,", f"{second}: T,")
        .replace("[session]", "[application]")
    )
    lines = gateway("plan")[1].splitlines()[2:]
    assert lines == [
        '      auth: ["session"] -> ["application"]',
        "      sensitive_params: false -> true",
        "      rate_limit: 50/minute -> 2/second",
        "      timeout: 10s -> 250ms",
        "      max_body: 1MiB -> 512KiB",
        "      breaks callers: sensitive_params changes from false to true",
        "      breaks callers: no longer accepts session tokens",
        "      breaks callers: max_body drops from 1MiB to 512KiB",
        "      breaks callers: rate_limit becomes 2/second",
    ]
    gateway("apply")
    # PostgreSQL keeps the keys of a record in an order of its own.
    assert sorted(gateway("history", "2")[1].splitlines()[2:]) == sorted(lines)


def test_plan_shows_a_renamed_route_as_a_rename_that_breaks_nobody(gateway: Gateway) -> None:
    def route(name: str, path: str) -> str:
        text = manifest(name, deployed="true").replace("params: {}", f"path: {path!r}")
        return text.replace("path:", "params: {properties: {id: {}, n: {}}}, path:")

    write(route("things.a", "/things/{id}"))
    gateway("apply")
    write(route("things.b", "/things/{n}"))
    code, out, _ = gateway("plan")
    assert code == 2
    assert out == (
        "namespace test, at revision 1\n"
        "  > route things.a → things.b (renamed)\n"
        '      path: "/things/{id}" -> "/things/{n}"\n'
    )
    [planned] = orjson.loads(gateway("plan", "--json")[1])
    assert planned["changes"][0]["old_name"] == "things.a"
    assert (planned["breaking"], planned["left_alone"]) == ([], [])
    assert gateway("apply", "--no-breaking")[1] == (
        "> route things.a → things.b (renamed)\nnamespace test is at revision 2\n"
    )
    assert gateway("plan")[0] == 0
    assert "  > route things.a → things.b (renamed)\n" in gateway("history", "2")[1]
    assert "  > route things.b → things.a (renamed)\n" in gateway("rollback", "1", "--dry-run")[1]
    assert gateway("rollback", "1")[0] == 0
    write(route("things.a", "/things/{id}"))
    assert gateway("plan")[0] == 0


def test_plan_prints_markdown(gateway: Gateway) -> None:
    write(manifest("things.create", "things.read", deployed="true").replace("POST", "GET", 1))
    gateway("apply")
    write(manifest("things.create", title="'a `b`'", deployed="true"))
    code, out, _ = gateway("plan", "--format", "markdown")
    assert code == 2
    assert out.splitlines() == [
        "**Namespace `test`**, at revision 1",
        "",
        "| change | fields | breaks callers |",
        "| --- | --- | --- |",
        (
            '| change route `things.create` | `method: "GET" -> "POST"`<br>'
            '`` title: "T" -> "a `b`" `` | `method changes from GET to POST` |'
        ),
        "",
        "- `things.read`: kept, although the manifest leaves it out; --prune deletes it",
        "",
    ]


def test_check_prints_annotations_for_github(gateway: Gateway) -> None:
    write("a: 1\nb: [\n", "a,b.yaml")
    code, out, err = gateway("check", "a,b.yaml", "--format", "github")
    assert code == 1
    assert out == (
        "::error file=a%2Cb.yaml,line=2,col=4::"
        "is not valid YAML: the bracket that opens here is never closed\n"
    )
    assert err.startswith("a,b.yaml:2:4: is not valid YAML: ")
    write(manifest("things.create", deployed="true"))
    code, out, _ = gateway("check", "--format", "github")
    assert (code, out.splitlines()[0].partition("::things")[0]) == (
        0,
        "::warning file=routes.yaml",
    )


@pytest.mark.parametrize(("words", "file"), [([], "routes"), (["params"], "params")])
def test_schema_prints_the_schema_for_editors(
    gateway: Gateway, words: list[str], file: str
) -> None:
    code, out, err = gateway("schema", *words)
    assert (code, err) == (0, "")
    assert out == (ROOT / "gateway" / "schemas" / f"{file}.schema.json").read_text()


def test_apply_exits_1_on_too_many_deletes_without_max_deletes(gateway: Gateway) -> None:
    write(manifest(*(f"things.a{n}" for n in range(12))))
    gateway("apply")
    write(manifest())
    code, out, err = gateway("apply", "--prune")
    assert (code, out) == (1, "")
    assert "--max-deletes 12" in err
    assert gateway("apply", "--prune", "--max-deletes", "12")[0] == 0


def test_registry_commands_name_gateway_migrate_without_tables(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, empty_database: str
) -> None:
    monkeypatch.setenv("GATEWAY_DATABASE_URL", empty_database)
    write(manifest("things.create"))
    for words in (["plan"], ["apply"], ["dump"], ["history"], ["rollback", "1"]):
        code, out, err = gateway(*words)
        assert (code, out) == (1, "")
        assert "gateway migrate" in err


# routes, explain

ROUTES = {
    "things.create": ("POST", "/things", "[session, application]", "true"),
    "things.count": ("GET", "/things/count", "public", "true"),
    "things.later": ("PUT", "/things/later", "[session]", "false"),
    "things.read": ("GET", "/things/{id:int}", "[session]", "true"),
}


SEARCHED = (
    "searched:  looked in services (there is no such folder), in Plano's own clients, "
    "sessions, users, and in the entry points of the group gateway.services (none)"
)
NO_CODE = "service-not-found: no code is installed for the action things.{}"


def test_explain_and_routes_print_what_is_served(gateway: Gateway) -> None:
    def printed(*words: str, told: str = "") -> str:
        code, out, err = gateway(*words)
        assert (code, err.partition(":")[0]) == (0, told)
        return out

    lines = [
        f"  {name}: {{method: {method}, path: '{path}', auth: {auth}, deployed: {deployed}, "
        "title: T, params: {properties: {id: {}}}}\n"
        for name, (method, path, auth, deployed) in ROUTES.items()
    ]
    write(HEAD.format(namespace="test", service="things") + "".join(lines))
    gateway("apply")
    assert printed("explain", "get", "/things/7").splitlines() == [
        "revision:  1",
        "request:   GET /things/7",
        "answer:    service-not-found: no code is installed for the action things.read",
        "route:     things.read",
        "pattern:   /things/{id:int}",
        "params:    id=7",
        "handler:   things.read",
        "auth:      session",
        "roles:     any",
        SEARCHED,
    ]
    assert printed("explain", "GET", "/thing").splitlines()[2:] == [
        "answer:    route-non-existent",
        "why:       no route matches the segments after /",
        "known:     things",
    ]
    assert orjson.loads(printed("explain", "GET", "/things", "--json"))["methods"] == ["POST"]
    listed = orjson.loads(printed("routes", "--json", told="code of services"))
    assert [(row["path"], row["method"], row["auth"], row["state"]) for row in listed] == [
        ("/things", "POST", "application, session", NO_CODE.format("create")),
        ("/things/count", "GET", "public", NO_CODE.format("count")),
        ("/things/later", "PUT", "session", "route-not-found: the route is not deployed"),
        ("/things/{id:int}", "GET", "session", NO_CODE.format("read")),
    ]


def test_explain_prints_roles_in_words(gateway: Gateway) -> None:
    roles = "auth: [session], roles: {shop: [employee, liaison], other: []}"
    names = "applications: {shop: {title: S, roles: [employee]}, other: {title: O, roles: []}}\n"
    write(names + manifest("things.create").replace("auth: [session]", roles))
    gateway("apply")
    _, out, _ = gateway("explain", "POST", "/api/v1/things/create")
    assert out.splitlines()[-1] == "roles:     other=none, shop=employee or liaison"


def test_explain_ignores_a_query_and_reports_a_missing_leading_slash(
    gateway: Gateway,
) -> None:
    write(manifest("things.create", deployed="true"))
    gateway("apply")
    _, out, _ = gateway("explain", "POST", "/api/v1/things/create?a=1")
    assert out.splitlines()[1:3] == [
        "request:   POST /api/v1/things/create",
        "answer:    service-not-found: no code is installed for the action things.create",
    ]
    _, out, _ = gateway("explain", "POST", "api/v1/things/create")
    assert "does not start with /" in out


def test_explain_takes_a_whole_url(gateway: Gateway) -> None:
    write(manifest("things.create", deployed="true"))
    gateway("apply")
    _, out, _ = gateway("explain", "POST", "https://api.example.com:8443/api/v1/things/create?a=1")
    assert out.splitlines()[1] == "request:   POST /api/v1/things/create"
    assert "route:     things.create" in out


@pytest.mark.parametrize("target", ["/", "https://api.example.com", "https://h?x=/a"])
def test_explain_of_the_root_names_the_first_segments(gateway: Gateway, target: str) -> None:
    write(manifest("things.create", deployed="true"))
    gateway("apply")
    _, out, _ = gateway("explain", "GET", target)
    assert out.splitlines()[1:] == [
        "request:   GET /",
        "answer:    route-non-existent",
        "why:       no route can have the path /: it has no segment",
        "known:     api",
    ]


def test_explain_answers_options_with_the_methods(gateway: Gateway) -> None:
    write(manifest("things.create"))
    gateway("apply")
    _, out, _ = gateway("explain", "OPTIONS", "/api/v1/things/create")
    assert out.splitlines()[2:] == ["answer:    the methods of this path", "methods:   POST"]
    _, out, _ = gateway("explain", "OPTIONS", "/nothing")
    assert "answer:    route-non-existent" in out
