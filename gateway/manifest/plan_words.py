"""A plan's changes in words: the command line and the pages show the same."""

from collections.abc import Iterator
from typing import Any

import orjson

from gateway.manifest.records.change import Change
from gateway.manifest.records.written import as_written

KEPT = "kept, although the manifest leaves it out; --prune deletes it"
"""What a plan says of a record that only `--prune` would delete."""

MAX_VALUE_LENGTH = 120
"""Characters of JSON after which a value is cut off."""


def field_lines(change: Change) -> Iterator[str]:
    """The fields of a changed record, one a line: `title: Old -> New`."""
    for field, old, new in change.fields():
        # The default handler of a renamed route changes with the name: not worth a line.
        if not (field == "handler" and (old, new) == (change.old_name, change.name)):
            yield f"{field}: {_shorten(field, old)} -> {_shorten(field, new)}"


def _shorten(field: str, value: Any) -> str:  # noqa: ANN401 - JSON is any
    """A field's value as the manifest writes it."""
    if value is None:
        return "(none)"
    written = as_written(field, value)
    is_text = isinstance(written, str) and written is not value
    text = written if is_text else orjson.dumps(written).decode()
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[:MAX_VALUE_LENGTH]}…"
