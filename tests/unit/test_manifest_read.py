"""Reading YAML: version 1.2's booleans, every value's line, and all faults of all files at once."""

from pathlib import Path
from typing import Any

import pytest

from gateway.manifest.read import Document, ManifestError, read


def written(folder: Path, text: str | bytes, name: str = "routes.yaml") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def only(folder: Path, text: str) -> Document:
    [document] = read(written(folder, text))
    return document


def told(path: Path) -> list[str]:
    """What is said of a manifest that cannot be read, without the folder's name."""
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
def test_a_scalar_has_the_type_of_yaml_1_2(tmp_path: Path, text: str, value: Any) -> None:
    read_as = only(tmp_path, f"a: {text}\n").data["a"]
    assert read_as == value
    assert type(read_as) is type(value)


def test_a_boolean_word_of_yaml_1_1_is_a_key_like_any_other(tmp_path: Path) -> None:
    assert only(tmp_path, "on: 1\noff: 2\n").data == {"on": 1, "off": 2}


def test_every_place_has_its_line(tmp_path: Path) -> None:
    document = only(tmp_path, "# first\na:\n  b: 1\n  c:\n    - x\n    - {d: 2,\n       e: 3}\n")
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


def test_a_fault_at_a_place_that_is_not_there_has_the_line_of_the_nearest(tmp_path: Path) -> None:
    document = only(tmp_path, "a:\n  b: 1\n")
    diagnostic = document.diagnostic(("a", "b", "c"), "is missing")
    assert str(diagnostic) == f"{tmp_path}/routes.yaml:2: a: b: c: is missing"


FAULTS: list[tuple[str, str | bytes, list[str]]] = [
    (
        "a key that is there twice",
        "a: 1\nb: 2\na: 3\n",
        ["routes.yaml:3: a: duplicate key; line 1 has it already"],
    ),
    (
        "two keys that are there twice",
        "r:\n  x: 1\n  x: 2\n  y: 1\ns: 1\ns: 2\n",
        [
            "routes.yaml:3: r: x: duplicate key; line 2 has it already",
            "routes.yaml:6: s: duplicate key; line 5 has it already",
        ],
    ),
    (
        "a key that is there twice in a flow mapping",
        "r: {x: 1, x: 2}\n",
        ["routes.yaml:1: r: x: duplicate key; line 1 has it already"],
    ),
    (
        "a bracket that is not closed",
        "a: 1\nb: [1,\n",
        ["routes.yaml:3: is not valid YAML: did not find expected node content"],
    ),
    (
        "a tab as indentation",
        "a:\n\tb: 1\n",
        ["routes.yaml:2: is not valid YAML: found character that cannot start any token"],
    ),
    (
        "an alias of nothing",
        "a: 1\nb: *c\n",
        ["routes.yaml:2: is not valid YAML: found undefined alias"],
    ),
    (
        "a tag",
        "a: 1\nb: !run x\n",
        ["routes.yaml:2: is not valid YAML: could not determine a constructor for the tag '!run'"],
    ),
    ("a tag that lies", "a: 1\nb: !!int x\n", ["routes.yaml:2: b: 'x' is not a valid int"]),
    ("a tag of nothing", "a: 1\nb: !!int ''\n", ["routes.yaml:2: b: '' is not a valid int"]),
    ("no boolean", "a: 1\nb: !!bool x\n", ["routes.yaml:2: b: 'x' is not a valid bool"]),
    (
        "a tag that JSON has not",
        "a: 1\nb: !!timestamp x\n",
        [
            (
                "routes.yaml:2: b: the tag !!timestamp is not supported; "
                "allowed: !!str, !!int, !!float, !!bool, !!null"
            ),
        ],
    ),
    (
        "a number that is too long",
        f"a: 1\nb: {'9' * 5000}\n",
        ["routes.yaml:2: b: the number is too long; at most 1000 digits"],
    ),
    ("too many brackets", "[" * 3000 + "]" * 3000, ["routes.yaml: is nested too deeply"]),
    ("bytes that are not UTF-8", b"a: \xff\n", ["routes.yaml: is not valid UTF-8"]),
]


@pytest.mark.parametrize(
    ("text", "diagnostics"),
    [diagnostic[1:] for diagnostic in FAULTS],
    ids=[diagnostic[0] for diagnostic in FAULTS],
)
def test_what_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, text: str | bytes, diagnostics: list[str]
) -> None:
    assert told(written(tmp_path, text)) == diagnostics


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n? [b, c]\n: 2\n", 2),
        ("a: 1\n? {b: c}\n: 2\n", 2),
        ("a: 1\nb: &loop {c: *loop}\n", 2),
        ("a: 1\nb: \x07\n", 2),
    ],
    ids=["a list as key", "a mapping as key", "an alias of itself", "a control"],
)
def test_a_value_that_yaml_cannot_make_is_a_fault_with_its_line(
    tmp_path: Path, text: str, line: int
) -> None:
    [diagnostic] = told(written(tmp_path, text))
    assert diagnostic.startswith(f"routes.yaml:{line}: ")
    assert "\n" not in diagnostic


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "nothing.yaml"
    assert told(missing) == ["nothing.yaml: cannot be read: No such file or directory"]


def test_each_document_of_a_file_has_lines_of_its_own(tmp_path: Path) -> None:
    first, second = read(written(tmp_path, "a: 1\n---\n# of the second\na: 2\n"))
    assert (first.data, first.lines["a",]) == ({"a": 1}, 1)
    assert (second.data, second.lines["a",]) == ({"a": 2}, 4)


def test_a_folder_is_all_its_files_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.yaml", "notes.md", "schemas.json"):
        written(tmp_path, f"file: {name}\n", name)
    (tmp_path / "deeper").mkdir()
    written(tmp_path / "deeper", "file: deeper\n", "d.yaml")
    assert [document.data["file"] for document in read(tmp_path)] == ["a.yml", "b.yaml", "c.yaml"]


def test_a_folder_without_yaml_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as refused:
        read(tmp_path)
    assert str(refused.value) == f"{tmp_path}: the folder has no .yaml or .yml file"


def test_the_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    written(tmp_path, "a: 1\na: 2\n", "1.yaml")
    written(tmp_path, "a: [\n", "2.yaml")
    written(tmp_path, "a: 1\n", "3.yaml")
    written(tmp_path, b"\xff", "4.yaml")
    (tmp_path / "5.yaml").symlink_to("nowhere")
    assert [diagnostic.partition(" ")[0] for diagnostic in told(tmp_path)] == [
        "1.yaml:2:",
        "2.yaml:2:",
        "4.yaml:",
        "5.yaml:",
    ]


def test_the_faults_of_all_documents_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    diagnostics = told(written(tmp_path, "a: 1\na: 2\n---\nb: 1\n---\nc: 1\nc: 2\n"))
    assert [text.partition(" ")[0] for text in diagnostics] == [
        "routes.yaml:2:",
        "routes.yaml:7:",
    ]
