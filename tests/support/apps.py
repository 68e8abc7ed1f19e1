"""Applications and installed packages for tests, in folders of their own."""

from collections.abc import Mapping
from pathlib import Path

from gateway.runtime.app_folder import AppFolder

ACTION = """\
from gateway import Call, Reply


async def {name}(call: Call) -> Reply:
    return Reply({{"said": "{said}"}})
"""

MANIFEST = """\
version: 1
namespace: acme
applications: {{shop: {{title: Shop, roles: [employee, client, liaison]}}}}
services:
  {service}: {{kind: python, deployed: true, title: T}}
routes:
  {service}.create: {{method: POST, deployed: true, title: T, auth: [session], params: {{}}}}
"""


def action(name: str = "create", said: str = "hello") -> str:
    """A module with one action, which answers what it says."""
    return ACTION.format(name=name, said=said)


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def application(folder: Path, files: Mapping[str, str]) -> AppFolder:
    """An application with these files, and with a manifest of the service `greetings`."""
    write_files(folder, {"routes.yaml": MANIFEST.format(service="greetings"), **files})
    return AppFolder.find(str(folder))


def installed(folder: Path, entries: Mapping[str, str], files: Mapping[str, str]) -> Path:
    """A folder for the path of imports, as an installed package with entry points leaves it."""
    lines = [f"{name} = {value}" for name, value in entries.items()]
    return write_files(
        folder,
        {
            "acme-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n",
            "acme-1.0.dist-info/entry_points.txt": "\n".join(["[gateway.services]", *lines, ""]),
            **files,
        },
    )
