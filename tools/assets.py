"""Copies what the pages load and others wrote from `tools/assets/node_modules` into the wheel.

`make assets` installs the locked packages (`npm ci --ignore-scripts`) and runs this program.
`vendor.json` names each file with its package, version, licence and SHA-256, which a test
recomputes. Installing and running the gateway never needs Node.
"""

import hashlib
import json
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / "tools" / "assets" / "node_modules"
STATIC = ROOT / "gateway" / "pages" / "static"

FILES = (
    ("htmx.org", "dist/htmx.min.js", "htmx-{version}.min.js"),
    ("htmx.org", "dist/ext/hx-sse.min.js", "hx-sse-{version}.min.js"),
    ("htmx.org", "LICENSE", "htmx-{version}.LICENSE.txt"),
)
"""A package, its file, and the name of the copy."""


def main() -> None:
    """Replace the copies, and describe them."""
    for old in json.loads((STATIC / "vendor.json").read_text()) if _has_copies() else ():
        (STATIC / old["file"]).unlink(missing_ok=True)
    described = [_copy(*entry) for entry in FILES]
    (STATIC / "vendor.json").write_text(json.dumps(described, indent=2) + "\n")


def _has_copies() -> bool:
    return (STATIC / "vendor.json").exists()


def _copy(package: str, source: str, name: str) -> dict[str, str]:
    about = json.loads((PACKAGES / package / "package.json").read_text())
    file = name.format(version=about["version"])
    shutil.copyfile(PACKAGES / package / source, STATIC / file)
    return {
        "file": file,
        "package": package,
        "version": about["version"],
        "licence": about["license"],
        "source": source,
        "sha256": hashlib.sha256((STATIC / file).read_bytes()).hexdigest(),
    }


if __name__ == "__main__":
    main()
