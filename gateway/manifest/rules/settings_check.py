"""Check the settings of a service against `schemas/<service>/settings.json`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from gateway.manifest.rules import params, schema_check
from gateway.manifest.source.diagnostic import YamlPath

FILE = "settings.json"


def diagnostics(folder: Path, service: dict[str, Any]) -> Iterator[tuple[YamlPath, str]]:
    """The errors of a service's settings: path in the settings and message.

    `folder` holds the schemas of the service. Without the file nothing is checked, since a dump is
    a manifest without a folder of schemas; `check` warns.
    """
    file = folder / FILE
    if not file.exists():
        return
    try:
        schema = params.read_file(file)
        messages = [*params.schema_errors(schema)]
    except params.ParamsError as error:
        messages = error.messages
    if messages:
        yield from (((), f"{file}: {message}") for message in messages)
        return
    for invalid in jsonschema.Draft202012Validator(schema).iter_errors(service["settings"]):
        yield from schema_check.describe(invalid)
