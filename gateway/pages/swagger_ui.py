"""The files of Swagger UI, which the extra `reference` installs with the package that carries them.

The package is never imported: it is a plugin of another framework, and only its files are used.
"""

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "star_openapi_swagger"
_PATHS = {
    "swagger-ui.css": "templates/swagger/css/swagger-ui.css",
    "swagger-ui-bundle.js": "templates/swagger/js/swagger-ui-bundle.js",
}


@cache
def files() -> Mapping[str, Path]:
    """The files by their names; none if the package is absent or lacks one of them."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        return {}
    found = {name: Path(folders[0]) / path for name, path in _PATHS.items()}
    return found if all(path.is_file() for path in found.values()) else {}
