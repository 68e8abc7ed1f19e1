"""Writes the JSON Schemas that editors read, as `gateway schema` prints them.

`python tools/editor_schemas.py` writes them to `gateway/schemas/`; with `--check` it only names
those that are out of date.
"""

import sys
from pathlib import Path

from gateway.cli.safe_text import json_text
from gateway.manifest.rules.editor_schema import editor_schema_of_manifests, editor_schema_of_params

FOLDER = Path(__file__).parents[1] / "gateway" / "schemas"


def schemas() -> dict[Path, str]:
    """The content of each file."""
    return {
        FOLDER / "routes.schema.json": json_text(editor_schema_of_manifests()) + "\n",
        FOLDER / "params.schema.json": json_text(editor_schema_of_params()) + "\n",
    }


def stale() -> list[Path]:
    """The files that differ from what the code says."""
    return [
        file for file, text in schemas().items() if not file.exists() or file.read_text() != text
    ]


def main() -> None:
    """Write the files; with `--check` only name those that are out of date."""
    out_of_date = stale()
    if "--check" in sys.argv:
        for file in out_of_date:
            print(f"{file.name} is out of date; run `make docs-refresh`", file=sys.stderr)
        sys.exit(bool(out_of_date))
    for file in out_of_date:
        file.write_text(schemas()[file])


if __name__ == "__main__":
    main()
