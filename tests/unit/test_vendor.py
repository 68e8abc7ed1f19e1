"""The files that others wrote are as they were published, and each has its licence."""

import hashlib
import json
from pathlib import Path

STATIC = Path(__file__).parents[2] / "gateway" / "pages" / "static"
VENDORED = json.loads((STATIC / "vendor.json").read_text())
PACKAGES = json.loads((STATIC.parents[2] / "tools" / "assets" / "package.json").read_text())


def test_vendored_files_are_those_that_were_published() -> None:
    for entry in VENDORED:
        content = (STATIC / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], entry["file"]


def test_vendored_files_are_of_the_pinned_versions_and_have_a_licence() -> None:
    for entry in VENDORED:
        assert PACKAGES["dependencies"][entry["package"]] == entry["version"]
        assert entry["version"] in entry["file"]
        assert (STATIC / f"htmx-{entry['version']}.LICENSE.txt").exists()


def test_every_other_script_and_style_is_our_own() -> None:
    own = {"console.css", "console.js", "documentation.js", "reference.css", "reference.js"}
    own |= {"style.css", "vendor.json"}
    vendored = {entry["file"] for entry in VENDORED}
    assert {file.name for file in STATIC.iterdir()} == own | vendored
