"""Errors and warnings as GitHub Actions annotations, shown at their lines of a pull request."""

from gateway.manifest.source.diagnostic import Diagnostic


def error(diagnostic: Diagnostic) -> str:
    """The workflow command that annotates the line of an error."""
    places = {"file": diagnostic.file, "line": diagnostic.line, "col": diagnostic.column}
    properties = [f"{name}={_property(str(value))}" for name, value in places.items() if value]
    path = f"{diagnostic.path}: " if diagnostic.path else ""
    return f"::error {','.join(properties)}::{_data(path + diagnostic.message)}"


def warning(file: str, message: str) -> str:
    """The workflow command that annotates a file with a warning."""
    return f"::warning file={_property(file)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
