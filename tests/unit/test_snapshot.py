"""The snapshot on disk: a load returns what was saved, and damaged files are refused."""

import asyncio
import hashlib
import logging
import os
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import APPLICATIONS, examples, route

from gateway import statuses
from gateway.database.connect import address_of
from gateway.registry import snapshot
from gateway.registry.records import Service, record_of, route_from
from gateway.registry.schema import ParamSchema
from gateway.registry.snapshot import SnapshotError
from gateway.registry.table import Table

_words = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
_slugs = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
_texts = st.text(st.characters(exclude_categories=["Cs"]))
_paths = st.lists(
    st.from_regex(r"[A-Za-z0-9_~-]{1,6}", fullmatch=True) | st.just("{*:int}") | st.just("{*}"),
    min_size=1,
    max_size=5,
).map(lambda parts: "/" + "/".join(part.replace("*", f"p{i}") for i, part in enumerate(parts)))
_records = st.fixed_dictionaries(
    {
        "handler": st.tuples(_words, _words).map(".".join),
        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        "path": _paths,
        "deployed": st.booleans(),
        "title": _texts,
        "auth": st.lists(st.sampled_from(["application", "session"]), unique=True).map(sorted),
        "roles": st.none()
        | st.dictionaries(
            _slugs, st.lists(st.sampled_from(["client", "employee", "liaison"]), unique=True)
        ),
        "client_required": st.booleans(),
        "sensitive_params": st.booleans(),
        "envelope": st.sampled_from(["plano", "shoplo"]),
        "statuses": st.dictionaries(
            _slugs.filter(lambda slug: slug not in statuses.COMMON),
            st.fixed_dictionaries({"http": st.integers(400, 599), "meaning": _texts}),
            max_size=3,
        ),
        "timeout": st.integers(1, 10**6).map(lambda ms: ms * 0.001),
        "idempotency": st.sampled_from(["off", "optional", "required"]),
        "rate_limit": st.none() | st.lists(st.integers(1, 10**9), min_size=2, max_size=2),
        "max_body": st.integers(1, 2**40),
        "max_values": st.integers(1, 10**6),
        "description": _texts,
    },
    optional={
        "documented": st.just(False),  # noqa: FBT003 - a value
        "deprecated": st.just("2026-12-01"),
        "sunset": st.just("2027-12-01"),
        "examples": st.just('{"params": {"b": 1, "a": 2}}'),
        "returns": st.just('{"type": "object"}'),
        "reads": st.just({"from": "replica", "stale": 1.5}),
    },
)


@examples
@given(_records)
def test_record_of_is_the_inverse_of_route_from(record: dict[str, Any]) -> None:
    params = ParamSchema("{}")
    built = route_from("things.create", record, params)
    assert record_of(built) == record
    assert route_from("things.create", record_of(built), params) == built


def saved(folder: Path, table: Table) -> Path:
    path = folder / "below" / "registry.snapshot"
    asyncio.run(snapshot.save(path, table))
    return path


def same(one: Table, other: Table | None) -> bool:
    """Whether two tables hold equal records; schemas are compared by their text."""
    assert other is not None
    return bool(contents(one) == contents(other))


def contents(table: Table) -> Any:
    routes = {r.name: (r.params.text, record_of(r), r.segments) for r in table.routes.values()}
    return table.revision, table.applications, table.services, routes


def big_table() -> Table:
    """A table with routes for several lines of the file; some routes share a schema."""
    services = [
        Service(f"s{n}", "python", deployed=n > 0, title=f"Ünï\n{n}", settings={"n": [n, "ł"]})
        for n in range(3)
    ]
    routes = [
        route(
            f"/x/{n}/{{id:int}}",
            name=f"s{n % 3}.r{n}",
            service=f"s{n % 3}",
            action=f"r{n}",
            schema={"title": f"{n % 7}\u2028\r\n", "properties": {"id": {}}},
        )
        for n in range(2 * snapshot.SLICE + 5)
    ]
    return Table(12, services, routes, APPLICATIONS)


def test_snapshot_load_returns_what_was_saved(tmp_path: Path) -> None:
    table = big_table()
    path = saved(tmp_path, table)
    loaded = snapshot.load(path)
    assert same(table, loaded)
    assert loaded is not None
    for n in (0, 7, 2 * snapshot.SLICE + 4):
        match = loaded.find("POST", b"/x/%d/42" % n) or pytest.fail("is not found")
        assert (match.route.name, match.path_params) == (f"s{n % 3}.r{n}", {"id": 42})
    assert snapshot.saved_revision(path) == (12, None)
    assert [file.name for file in path.parent.iterdir()] == ["registry.snapshot"]


def test_snapshot_equal_schemas_are_stored_once_and_loaded_as_one_object(tmp_path: Path) -> None:
    loaded = snapshot.load(saved(tmp_path, big_table()))
    assert loaded is not None
    assert len({id(loaded_route.params) for loaded_route in loaded.routes.values()}) == 7


def test_snapshot_of_an_empty_registry_can_be_saved(tmp_path: Path) -> None:
    assert same(Table(0), snapshot.load(saved(tmp_path, Table(0))))


def test_snapshot_of_a_changed_table_includes_the_changes(tmp_path: Path) -> None:
    table = big_table().with_changes(
        13, {"s0": None}, {"s1.r1": None, "new.a": route("/n", name="new.a")}
    )
    assert same(table, snapshot.load(saved(tmp_path, table)))


def test_snapshot_save_replaces_the_old_one(tmp_path: Path) -> None:
    saved(tmp_path, big_table())
    path = saved(tmp_path, Table(13))
    assert snapshot.saved_revision(path) == (13, None)
    assert same(Table(13), snapshot.load(path))


def test_snapshot_missing_file_loads_no_table(tmp_path: Path) -> None:
    assert snapshot.load(tmp_path / "none") is None
    assert snapshot.load(tmp_path / "none" / "below") is None
    assert snapshot.saved_revision(tmp_path / "none") is None


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small snapshot."""
    folder = tmp_path_factory.mktemp("intact")
    table = Table(7, [Service("things", "python", deployed=True, title="T")], [route()])
    return saved(folder, table).read_bytes()


def refused(folder: Path, raw: bytes) -> str:
    path = folder / "registry.snapshot"
    path.write_bytes(raw)
    with pytest.raises(SnapshotError) as caught:
        snapshot.load(path)
    return str(caught.value)


def test_snapshot_with_any_flipped_bit_is_refused(tmp_path: Path, intact: bytes) -> None:
    for index in range(len(intact)):
        damaged = bytearray(intact)
        damaged[index] ^= 1 << index % 8
        assert "is damaged" in refused(tmp_path, bytes(damaged)), index


def test_snapshot_truncated_at_any_byte_is_refused(tmp_path: Path, intact: bytes) -> None:
    for length in range(len(intact)):
        assert "is damaged" in refused(tmp_path, intact[:length]), length


def test_snapshot_with_trailing_data_is_refused(tmp_path: Path, intact: bytes) -> None:
    assert "is damaged" in refused(tmp_path, intact + b"[]\n")


@pytest.mark.parametrize(
    "head",
    [b"", b"[]", b"{}", b"null", b"7", b'{"format": 1}', b'{"format": 1, "revision": 1}', b"\xff"],
)
def test_snapshot_with_an_invalid_header_is_refused(
    tmp_path: Path, intact: bytes, head: bytes
) -> None:
    body = intact.partition(b"\n")[2]
    assert "is damaged" in refused(tmp_path, head + b"\n" + body)
    assert snapshot.saved_revision(tmp_path / "registry.snapshot") in {None, (1, None)}


def test_snapshot_of_another_format_is_refused(tmp_path: Path, intact: bytes) -> None:
    header, _, body = intact.partition(b"\n")
    other = orjson.dumps({**orjson.loads(header), "format": snapshot.FORMAT + 1})
    assert "by another version" in refused(tmp_path, other + b"\n" + body)


def test_snapshot_invalid_record_is_refused_despite_a_correct_checksum(tmp_path: Path) -> None:
    for broken in (b'[["things.create", {}, 0]]', b'[["things.create"]]', b"[7]", b"{", b"[["):
        body = b'{}\n{}\n["{}"]\n' + broken + b"\n"
        digest = hashlib.sha256(b"7\n\n" + body).hexdigest()
        fields = {"format": snapshot.FORMAT, "revision": 7, "database": "", "sha256": digest}
        head = orjson.dumps(fields)
        assert "is damaged" in refused(tmp_path, head + b"\n" + body), broken


HERE = snapshot.Origin("db:5432/gateway")
SIGNED = snapshot.Origin("db:5432/gateway", key="a key")


def bound(folder: Path, origin: snapshot.Origin) -> Path:
    """A snapshot that is bound to an origin."""
    path = folder / "registry.snapshot"
    asyncio.run(snapshot.save(path, Table(7), origin))
    return path


@pytest.mark.parametrize("origin", [HERE, SIGNED])
def test_snapshot_of_the_same_origin_is_loaded(tmp_path: Path, origin: snapshot.Origin) -> None:
    assert same(Table(7), snapshot.load(bound(tmp_path, origin), origin))


def test_snapshot_of_another_database_is_refused_with_both_addresses(tmp_path: Path) -> None:
    path = bound(tmp_path, HERE)
    with pytest.raises(SnapshotError) as caught:
        snapshot.load(path, snapshot.Origin("nohost:5432/x"))
    assert str(caught.value) == (
        f"{path} belongs to another database, db:5432/gateway; this gateway uses nohost:5432/x"
    )


@pytest.mark.parametrize("origin", [HERE, snapshot.Origin(HERE.address, key="another key")])
def test_snapshot_without_the_signature_of_the_key_is_refused(
    tmp_path: Path, origin: snapshot.Origin
) -> None:
    with pytest.raises(SnapshotError, match="is not signed with the key of GATEWAY_SNAPSHOT_KEY"):
        snapshot.load(bound(tmp_path, origin), SIGNED)


def test_snapshot_whose_signature_is_of_another_content_is_refused(tmp_path: Path) -> None:
    path = bound(tmp_path, SIGNED)
    signature = orjson.loads(path.read_bytes().partition(b"\n")[0])["signature"]
    asyncio.run(snapshot.save(path, Table(8), HERE))
    header, _, body = path.read_bytes().partition(b"\n")
    forged = orjson.dumps({**orjson.loads(header), "signature": signature})
    path.write_bytes(forged + b"\n" + body)
    with pytest.raises(SnapshotError, match="is not signed"):
        snapshot.load(path, SIGNED)


def test_snapshot_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    assert stat.S_IMODE(bound(tmp_path, HERE).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("", ""),
        ("postgresql://ada:secret@DB.example.com/plano", "db.example.com:5432/plano"),
        ("postgresql://db:5433/plano?sslmode=require", "db:5433/plano"),
        ("postgresql://ada@/plano?host=%2Frun%2Fpg&port=5432", "/run/pg:5432/plano"),
        ("postgresql://a:5432,b:5433/plano", "a:5432,b:5433/plano"),
        ("postgresql://[::1]/plano", "[::1]:5432/plano"),
        ("postgresql://ada:secret@db", "db:5432/ada"),
    ],
)
def test_address_of_a_database_has_no_password(dsn: str, address: str) -> None:
    assert address_of(dsn) == address


def test_snapshot_unreadable_file_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be read: Is a directory"):
        snapshot.load(tmp_path)


def test_snapshot_failed_write_logs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    asyncio.run(snapshot.save(tmp_path / "file" / "registry.snapshot", Table(1)))
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "registry.snapshot-failed" in record.getMessage()


def test_snapshot_save_removes_old_temporary_files(tmp_path: Path) -> None:
    old, young = tmp_path / "registry.snapshot.1", tmp_path / "registry.snapshot.2"
    old.write_text("")
    young.write_text("")
    os.utime(old, (0, 0))
    asyncio.run(snapshot.save(tmp_path / "registry.snapshot", Table(1)))
    assert {file.name for file in tmp_path.iterdir()} == {"registry.snapshot", young.name}


def test_snapshot_failed_write_keeps_the_old_one_and_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, Table(7))
    before = path.read_bytes()

    def fails(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fails)
    saved(tmp_path, Table(8))
    assert path.read_bytes() == before
    assert [*path.parent.iterdir()] == [path]
