"""A language server as a process, asked over standard input and output as an editor asks it."""

import itertools
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

# Without it the server would load its catalogue of schemas from another host.
SETTINGS = {
    "yaml": {
        "schemaStore": {"enable": False},
        "validate": True,
        "completion": True,
        "hover": True,
    }
}

Message = dict[str, Any]


class LanguageServer:
    """The editor's side of the Language Server Protocol 3.17, with one request at a time."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self._ids = itertools.count(1)
        self._diagnostics: dict[str, list[Message]] = {}

    def initialize(self, root: Path) -> None:
        """Say what this editor can do, and what is open."""
        text = {"hover": {"contentFormat": ["markdown"]}, "publishDiagnostics": {}}
        folder = {"uri": root.as_uri(), "name": root.name}
        self.request(
            "initialize",
            processId=None,
            rootUri=root.as_uri(),
            workspaceFolders=[folder],
            capabilities={"workspace": {"configuration": True}, "textDocument": text},
        )
        self._send(method="initialized", params={})
        self._send(method="workspace/didChangeConfiguration", params={"settings": SETTINGS})

    def open(self, file: Path, text: str) -> list[Message]:
        """Open a document with this text, and return its diagnostics."""
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self._diagnostics.pop(file.as_uri(), None)
        self._send(method="textDocument/didOpen", params={"textDocument": document})
        while file.as_uri() not in self._diagnostics:
            self._receive()
        return self._diagnostics[file.as_uri()]

    def at(self, method: str, file: Path, line: int, character: int) -> Any:
        """Ask something about a position; lines and characters count from 0."""
        position = {"line": line, "character": character}
        return self.request(method, textDocument={"uri": file.as_uri()}, position=position)

    def request(self, method: str, **params: Any) -> Any:
        """The result of a request."""
        number = next(self._ids)
        self._send(id=number, method=method, params=params)
        while True:
            answer = self._receive()
            if answer.get("id") == number and "method" not in answer:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self) -> Message:
        """The next message; those that the server sends of itself are seen to."""
        message = self._read()
        if message.get("method") == "textDocument/publishDiagnostics":
            found = message["params"]
            self._diagnostics[found["uri"]] = found["diagnostics"]
        elif "method" in message and "id" in message:
            self._send(id=message["id"], result=self._answer(message))
        return message

    def _answer(self, message: Message) -> Any:
        """What an editor answers to a request of the server: its settings, otherwise nothing."""
        if message["method"] != "workspace/configuration":
            return None
        sections = [item.get("section", "") for item in message["params"]["items"]]
        return [SETTINGS.get(section, {}) for section in sections]

    def _read(self) -> Message:
        length = 0
        while line := self._output.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        assert length, "the language server has ended"
        message: Message = orjson.loads(self._output.read(length))
        return message

    def _send(self, **message: Any) -> None:
        body = orjson.dumps({"jsonrpc": "2.0", **message})
        self._input.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._input.flush()


@contextmanager
def running(command: Sequence[str], root: Path) -> Iterator[LanguageServer]:
    """A language server for the length of the block, with a folder open."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            server = LanguageServer(process)
            server.initialize(root)
            yield server
        finally:
            process.kill()
