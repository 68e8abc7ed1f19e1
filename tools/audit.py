"""Looks for published vulnerabilities in the packages of the lock files, with pip-audit.

`python tools/audit.py LOCK…` exits 1 if a package has a vulnerability that
`tools/audit-accepted.txt` does not accept with a reason, and also if the advisories of any package
cannot be read: silence is not a clean result.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ACCEPTED = Path(__file__).with_name("audit-accepted.txt")
TIMEOUT = 300
_ENTRY = re.compile(r"(\S+)\s+# (\S.*)")


def accepted(text: str) -> dict[str, str]:
    """The accepted advisories with their reasons. Raises ValueError for one without a reason."""
    entries = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line.strip())
        if entry is None:
            raise ValueError(f"{ACCEPTED.name}: {line!r} is not `ADVISORY  # reason`")
        entries[entry[1]] = entry[2]
    return entries


def problems(report: Mapping[str, Any], accepted: Mapping[str, str]) -> Iterator[str]:
    """What is wrong according to pip-audit's report."""
    unread = []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            unread.append(package["name"])
        for found in package.get("vulns", ()):
            if not {found["id"], *found["aliases"]} & accepted.keys():
                fixed = ", ".join(found["fix_versions"]) or "no version yet"
                name = f"{package['name']} {package['version']}"
                yield f"{name} has {found['id']}; fixed in {fixed}"
    if unread:
        total = len(report["dependencies"])
        yield (
            f"the advisories of {len(unread)} of {total} packages cannot be read from here: "
            "run `make audit` where the advisory service of the package index is reachable"
        )


def report_of(lock: str) -> dict[str, Any]:
    """pip-audit's report on a lock file. Exits with a sentence if there is none."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"),
        *("--progress-spinner", "off", "--format", "json", "--requirement", lock),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        sys.exit(f"{lock}: the advisory data cannot be read: {last}")
    return report


def main(locks: Sequence[str]) -> None:
    """Audit each lock file; exit 1 with a list of problems."""
    reasons = accepted(ACCEPTED.read_text())
    found = [
        f"{lock}: {problem}" for lock in locks for problem in problems(report_of(lock), reasons)
    ]
    if found:
        sys.exit("\n".join(found))
    print(f"no vulnerability is known in {', '.join(locks)}")


if __name__ == "__main__":
    main(sys.argv[1:])
