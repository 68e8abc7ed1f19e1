"""The files that pages load: style sheets and scripts, served by the gateway itself."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.pages import swagger_ui

FOLDER = Path(__file__).with_name("static")
PATH = "/-/static"
_TYPES = {".css": "text/css", ".js": "text/javascript"}


@cache
def url(name: str) -> str:
    """The URL of a file; it changes with the content, so that browsers may keep the file."""
    digest = hashlib.sha256(_content(name)).hexdigest()[:12]
    return f"{PATH}/{digest}/{name}"


@cache
def _files() -> Mapping[str, Path]:
    own = {file.name: file for file in FOLDER.iterdir() if file.suffix in _TYPES}
    return {**swagger_ui.files(), **own}


@cache
def _content(name: str) -> bytes:
    """The content of a file; read when it is first asked for, since Swagger UI's have megabytes."""
    return _files()[name].read_bytes()


def serve(request: Request) -> Response:
    """A file; the part of the path with the digest is not looked at."""
    name = request.path_params["name"]
    if name not in _files():
        return PlainTextResponse("There is no such file.", 404)
    headers = {"cache-control": "public, max-age=31536000, immutable"}
    media_type = _TYPES[Path(name).suffix]
    return Response(_content(name), headers=headers, media_type=media_type)
