"""The exact message for each of many broken manifests, as an operator reads it.

After a change of the words run `python tests/unit/test_broken_manifests.py`, and read the file.
"""

from pathlib import Path

from gateway.manifest.check import check
from gateway.manifest.source.read import ManifestError

FOLDER = Path(__file__).with_name("broken_manifests")
EXPECTED = FOLDER / "expected.txt"


def messages() -> str:
    """The errors of all manifests, each below the name of its file."""
    blocks = []
    for file in sorted(FOLDER.glob("*.yaml")):
        try:
            check(file)
        except ManifestError as error:
            text = str(error).replace(f"{FOLDER}/", "")
            blocks.append(f"# {file.name}\n{text}\n")
        else:
            blocks.append(f"# {file.name}\nis valid\n")
    return "\n".join(blocks)


def test_each_broken_manifest_has_its_message() -> None:
    assert messages() == EXPECTED.read_text()


if __name__ == "__main__":
    EXPECTED.write_text(messages())
