"""Reading YAML: 1.2's types, the line of every value, all errors of all files at once."""

import io
import os
import socket
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from gateway.manifest.source import files
from gateway.manifest.source.read import Document, ManifestError, read


def write(folder: Path, text: str | bytes, name: str = "routes.yaml") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def read_one(folder: Path, text: str) -> Document:
    [document] = read(write(folder, text))
    return document


def errors_of(path: Path) -> list[str]:
    """The errors of a manifest as text, without the name of the folder."""
    with pytest.raises(ManifestError) as refused:
        read(path)
    assert str(refused.value) == "\n".join(map(str, refused.value.diagnostics))
    folder = path if path.is_dir() else path.parent
    return [str(diagnostic).replace(f"{folder}/", "") for diagnostic in refused.value.diagnostics]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("false", False),
        ("off", "off"),
        ("on", "on"),
        ("no", "no"),
        ("No", "No"),
        ("yes", "yes"),
        ("y", "y"),
        ("12", 12),
        ("1.5", 1.5),
        ("'true'", "true"),
        ("~", None),
        ("żółw", "żółw"),
    ],
)
def test_read_scalar_has_its_yaml_1_2_type(tmp_path: Path, text: str, value: Any) -> None:
    scalar = read_one(tmp_path, f"a: {text}\n").data["a"]
    assert scalar == value
    assert type(scalar) is type(value)


def test_read_yaml_1_1_boolean_word_is_an_ordinary_key(tmp_path: Path) -> None:
    assert read_one(tmp_path, "on: 1\noff: 2\n").data == {"on": 1, "off": 2}


def test_document_every_path_has_its_line(tmp_path: Path) -> None:
    document = read_one(
        tmp_path, "# first\na:\n  b: 1\n  c:\n    - x\n    - {d: 2,\n       e: 3}\n"
    )
    assert document.lines == {
        (): 2,
        ("a",): 2,
        ("a", "b"): 3,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
        ("a", "c", 1, "d"): 6,
        ("a", "c", 1, "e"): 7,
    }


def test_document_error_at_a_missing_path_has_the_line_of_the_nearest_parent(
    tmp_path: Path,
) -> None:
    document = read_one(tmp_path, "a:\n  b: 1\n")
    diagnostic = document.diagnostic(("a", "b", "c"), "is missing")
    assert str(diagnostic) == f"{tmp_path}/routes.yaml:2: a: b: c: is missing"


ERRORS: list[tuple[str, str | bytes, list[str]]] = [
    (
        "a duplicate key",
        "a: 1\nb: 2\na: 3\n",
        ["routes.yaml:3: a: duplicate key; line 1 has it already"],
    ),
    (
        "two duplicate keys",
        "r:\n  x: 1\n  x: 2\n  y: 1\ns: 1\ns: 2\n",
        [
            "routes.yaml:3: r: x: duplicate key; line 2 has it already",
            "routes.yaml:6: s: duplicate key; line 5 has it already",
        ],
    ),
    (
        "a duplicate key in a flow mapping",
        "r: {x: 1, x: 2}\n",
        ["routes.yaml:1: r: x: duplicate key; line 1 has it already"],
    ),
    (
        "an unclosed bracket",
        "a: 1\nb: [1,\n",
        ["routes.yaml:2:4: is not valid YAML: the bracket that opens here is never closed"],
    ),
    (
        "a tab as indentation",
        "a:\n\tb: 1\n",
        ["routes.yaml:2:1: is not valid YAML: a tab is used as indentation; use spaces"],
    ),
    (
        "an undefined alias",
        "a: 1\nb: *c\n",
        [
            (
                "routes.yaml:2:4: is not valid YAML: the alias *c has no anchor &c above; "
                "define the anchor, or put the value in quotes"
            )
        ],
    ),
    (
        "a tag",
        "a: 1\nb: !run x\n",
        [
            (
                "routes.yaml:2: b: the tag !run is not supported; "
                "allowed: !!str, !!int, !!float, !!bool, !!null"
            )
        ],
    ),
    ("a tag that does not fit", "a: 1\nb: !!int x\n", ["routes.yaml:2: b: 'x' is not a valid int"]),
    ("a tag on an empty text", "a: 1\nb: !!int ''\n", ["routes.yaml:2: b: '' is not a valid int"]),
    ("an invalid boolean", "a: 1\nb: !!bool x\n", ["routes.yaml:2: b: 'x' is not a valid bool"]),
    (
        "a tag without a JSON type",
        "a: 1\nb: !!timestamp x\n",
        [
            (
                "routes.yaml:2: b: the tag !!timestamp is not supported; "
                "allowed: !!str, !!int, !!float, !!bool, !!null"
            ),
        ],
    ),
    (
        "a number with too many digits",
        f"a: 1\nb: {'9' * 5000}\n",
        ["routes.yaml:2: b: the number is too long; at most 1000 digits"],
    ),
    ("too many brackets", "[" * 3000 + "]" * 3000, ["routes.yaml: is nested too deeply"]),
    (
        "bytes that are not UTF-8",
        b"a: \xff\n",
        ["routes.yaml:1:4: is not valid UTF-8: the byte 0xff; save the file as UTF-8"],
    ),
]


@pytest.mark.parametrize(
    ("text", "diagnostics"),
    [row[1:] for row in ERRORS],
    ids=[row[0] for row in ERRORS],
)
def test_read_error_has_its_line(tmp_path: Path, text: str | bytes, diagnostics: list[str]) -> None:
    assert errors_of(write(tmp_path, text)) == diagnostics


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n? [b, c]\n: 2\n", 2),
        ("a: 1\n? {b: c}\n: 2\n", 2),
        ("a: 1\nb: &loop {c: *loop}\n", 2),
        ("a: 1\nb: \x07\n", 2),
    ],
    ids=[
        "a list as key",
        "a mapping as key",
        "an alias inside its own value",
        "a control character",
    ],
)
def test_read_unsupported_yaml_value_is_an_error_with_its_line(
    tmp_path: Path, text: str, line: int
) -> None:
    [diagnostic] = errors_of(write(tmp_path, text))
    assert diagnostic.startswith(f"routes.yaml:{line}:")
    assert "\n" not in diagnostic


def test_read_missing_file_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "nothing.yaml"
    assert errors_of(missing) == ["nothing.yaml: cannot be read: No such file or directory"]


def test_read_each_document_of_a_file_has_its_own_lines(tmp_path: Path) -> None:
    first, second = read(write(tmp_path, "a: 1\n---\n# of the second\na: 2\n"))
    assert (first.data, first.lines["a",]) == ({"a": 1}, 1)
    assert (second.data, second.lines["a",]) == ({"a": 2}, 4)


def test_read_folder_reads_all_its_files_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.yaml", "notes.md", "schemas.json"):
        write(tmp_path, f"file: {name}\n", name)
    (tmp_path / "deeper").mkdir()
    write(tmp_path / "deeper", "file: deeper\n", "d.yaml")
    assert [document.data["file"] for document in read(tmp_path)] == ["a.yml", "b.yaml", "c.yaml"]


def test_read_folder_without_yaml_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as refused:
        read(tmp_path)
    assert str(refused.value) == f"{tmp_path}: the folder has no .yaml or .yml file"


def test_read_reports_the_errors_of_all_files(tmp_path: Path) -> None:
    write(tmp_path, "a: 1\na: 2\n", "1.yaml")
    write(tmp_path, "a: [\n", "2.yaml")
    write(tmp_path, "a: 1\n", "3.yaml")
    write(tmp_path, b"\xff", "4.yaml")
    (tmp_path / "5.yaml").symlink_to("nowhere")
    assert [diagnostic.partition(" ")[0] for diagnostic in errors_of(tmp_path)] == [
        "1.yaml:2:",
        "2.yaml:1:4:",
        "4.yaml:1:1:",
        "5.yaml:",
    ]


def test_read_reports_the_errors_of_all_documents_of_a_file(tmp_path: Path) -> None:
    diagnostics = errors_of(write(tmp_path, "a: 1\na: 2\n---\nb: 1\n---\nc: 1\nc: 2\n"))
    assert [text.partition(" ")[0] for text in diagnostics] == [
        "routes.yaml:2:",
        "routes.yaml:7:",
    ]


# What must be refused before it is read or expanded


def bomb(levels: int) -> str:
    """Nested aliases: each level has ten of the level above."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, levels):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{aliases}]")
    return "\n".join(lines) + "\n"


def test_read_aliases_that_multiply_are_refused_before_they_are_followed(tmp_path: Path) -> None:
    assert errors_of(write(tmp_path, bomb(200))) == [
        "routes.yaml:5: aliases multiply to more than 100000 values; write the values out"
    ]


def test_read_an_alias_that_is_used_often_is_followed(tmp_path: Path) -> None:
    lines = ["a: &a {b: [1, 2]}", *(f"k{n}: *a" for n in range(5000))]
    assert read_one(tmp_path, "\n".join(lines)).data["k4999"] == {"b": [1, 2]}


@pytest.mark.parametrize("text", ["", "# only\n# comments\n", "\n\n"])
def test_read_empty_file_is_an_error(tmp_path: Path, text: str) -> None:
    assert errors_of(write(tmp_path, text)) == [
        "routes.yaml: the file is empty, or has only comments; it may have been cut short"
    ]


def test_read_empty_document_is_an_error_with_its_line(tmp_path: Path) -> None:
    [first, second] = errors_of(write(tmp_path, "a: 1\n---\n# none\n---\nb: 1\n---\n"))
    assert first.startswith("routes.yaml:4: the document is empty; ")
    assert second.startswith("routes.yaml:7: the document is empty; ")


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "link to a device"])
def test_read_refuses_what_is_not_a_file(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    file = folder / "routes.yaml"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "socket":
        # The path of a socket is short; a relative one fits.
        with socket.socket(socket.AF_UNIX) as unix, chdir(folder):
            unix.bind(file.name)
    else:
        file.symlink_to("/dev/zero")
    [error] = errors_of(folder)
    expected = {"link to a device": "a device, not a file", "socket": "No such device or address"}
    assert error.startswith("routes.yaml: cannot be read: ")
    assert expected.get(kind, f"it is a {kind}, not a file") in error


def test_read_refuses_a_file_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_MANIFEST", 2 * 1024 * 1024)
    file = write(tmp_path, "# " + "x" * 2 * 1024 * 1024)
    assert errors_of(file) == ["routes.yaml: is too large: at most 2 MiB are read"]


def test_read_takes_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a: 1\nb: [\n")))
    with pytest.raises(ManifestError) as refused:
        read(Path("-"))
    assert str(refused.value).startswith("standard input:2:4: is not valid YAML: ")
