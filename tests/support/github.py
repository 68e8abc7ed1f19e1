"""What GitHub does around an action: its comments over HTTP, and the steps of a job."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import yaml

# As GitHub starts the shells of steps.
SHELLS = {
    "bash": ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"],
    "python": [sys.executable],
}
Comment = dict[str, Any]


class Comments(ThreadingHTTPServer):
    """The comments of pull requests, as GitHub's REST API serves them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[Comment] = []
        self.calls: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, body: str, kind: str = "Bot") -> Comment:
        comment = {"id": len(self.comments) + 1, "body": body, "user": {"type": kind}}
        self.comments.append(comment)
        return comment


class _Handler(BaseHTTPRequestHandler):
    server: Comments

    def do_GET(self) -> None:
        page = int(re.findall(r"[?&]page=(\d+)", self.path)[0])
        self._answer(200, self.server.comments[(page - 1) * 100 : page * 100])

    def do_POST(self) -> None:
        self._answer(201, self.server.add(self._body()))

    def do_PATCH(self) -> None:
        [comment] = [each for each in self.server.comments if self.path.endswith(f"/{each['id']}")]
        comment["body"] = self._body()
        self._answer(200, comment)

    def _body(self) -> str:
        length = int(self.headers["Content-Length"])
        body: str = orjson.loads(self.rfile.read(length))["body"]
        return body

    def _answer(self, code: int, value: Any) -> None:
        path = self.path.partition("?")[0]
        self.server.calls.append(f"{self.command} {path} {self.headers['Authorization']}")
        content = orjson.dumps(value)
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serving_comments() -> Iterator[Comments]:
    """A server of comments for the length of the block."""
    with Comments() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Job:
    """A job that runs the steps of a composite action in a folder, each as it stands."""

    def __init__(self, action: Path, folder: Path, environment: Mapping[str, str]) -> None:
        document = yaml.safe_load(action.read_text())
        self.steps: dict[str, dict[str, Any]] = {s["id"]: s for s in document["runs"]["steps"]}
        self._inputs = {
            name: given.get("default", "") for name, given in document["inputs"].items()
        }
        self._action_path = action.parent
        self._folder = folder
        self.temporary = folder.parent / "runner"
        self.temporary.mkdir(exist_ok=True)
        self._environment = {**environment, **self._files()}

    def _files(self) -> dict[str, str]:
        """The variables that name the folder and the files of a job."""
        names = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_PATH")
        files = {name: self.temporary / name.lower() for name in names}
        for file in files.values():
            file.touch()
        return {"RUNNER_TEMP": str(self.temporary), **{n: str(f) for n, f in files.items()}}

    def run(
        self, step: str, inputs: Mapping[str, str] | None = None, *, number: int = 0
    ) -> "subprocess.CompletedProcess[str]":
        """Run a step with these inputs, for the pull request `number`."""
        given = {**self._inputs, **(inputs or {})}
        contexts = {
            **{f"inputs.{name}": value for name, value in given.items()},
            "github.action_path": str(self._action_path),
            "github.event.pull_request.number": str(number),
        }
        variables = {
            name: re.sub(r"\$\{\{ (.*?) \}\}", lambda match: contexts[match[1]], value)
            for name, value in self.steps[step].get("env", {}).items()
        }
        script = self.temporary / f"{step}.script"
        script.write_text(self.steps[step]["run"])
        return subprocess.run(
            [*SHELLS[self.steps[step]["shell"]], str(script)],
            cwd=self._folder,
            env={**self._environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def output(self) -> dict[str, str]:
        """What the steps have put out so far."""
        lines = (self.temporary / "github_output").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def job_environment(comments: Comments, path: Path) -> dict[str, str]:
    """The variables of a job on a branch of a repository; `path` has the installed gateway."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GATEWAY_", "GITHUB_"))}
    return {
        **inherited,
        "PATH": os.pathsep.join([str(path), os.environ["PATH"]]),
        "GITHUB_ACTOR": "ada",
        "GITHUB_API_URL": comments.url,
        "GITHUB_REPOSITORY": "shop/routes",
        "GITHUB_SHA": "4f1c2d9e",
    }
