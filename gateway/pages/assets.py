"""The files that pages load: a style sheet and scripts, served by the gateway itself."""

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

FOLDER = Path(__file__).with_name("static")
PATH = "/-/static"
_TYPES = {".css": "text/css", ".js": "text/javascript"}


@cache
def url(name: str) -> str:
    """The URL of a file; it changes with the content, so that browsers may keep the file."""
    digest = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()[:12]
    return f"{PATH}/{digest}/{name}"


@cache
def _files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in FOLDER.iterdir() if file.suffix in _TYPES}


def serve(request: Request) -> Response:
    """A file of the folder; the part of the path with the digest is not looked at."""
    name = request.path_params["name"]
    if name not in _files():
        return PlainTextResponse("There is no such file.", 404)
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    media_type = _TYPES[Path(name).suffix]
    return Response(_files()[name], headers=headers, media_type=media_type)
