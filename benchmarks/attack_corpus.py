"""Bodies of at most 1 MiB that cost a server most: many small values, and much to unescape."""

from collections.abc import Mapping

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
SIZE = 1024 * 1024 - 1


def _filled(head: bytes, part: bytes, tail: bytes, count: int | None = None) -> bytes:
    """`count` parts that commas separate, or as many as fit."""
    fits = (SIZE - len(head) - len(tail) + 1) // (len(part) + 1)
    return head + b",".join([part] * (count or fits)) + tail


BODIES: Mapping[str, tuple[bytes, bytes]] = {
    "empty lists": (JSON, _filled(b'{"free":{"a":[', b"[]", b"]}}")),
    "empty objects": (JSON, _filled(b'{"free":{"a":[', b"{}", b"]}}")),
    "objects": (JSON, _filled(b'{"free":{"a":[', b'{"a":{}}', b"]}}")),
    "numbers": (JSON, _filled(b'{"free":{"a":[', b"1", b"]}}")),
    "texts": (JSON, _filled(b'{"free":{"a":[', b'""', b"]}}")),
    "keys": (JSON, b'{"free":{' + b",".join(b'"%x":1' % n for n in range(80_000)) + b"}}"),
    "unknown keys": (JSON, b"{" + b",".join(b'"%x":1' % n for n in range(80_000)) + b"}"),
    "levels": (JSON, b"[" * SIZE),
    "one long text": (JSON, b'{"text":"' + b"x" * (SIZE - 11) + b'"}'),
    "separators in a text": (JSON, b'{"text":"' + b",[{" * (SIZE // 3 - 4) + b'"}'),
    "escapes": (JSON, b'{"text":"' + rb"\\," * (SIZE // 3 - 4) + b'"}'),
    "as many lists as allowed": (JSON, _filled(b'{"free":{"a":[', b"[]", b"]}}", 9_990)),
    "as many errors as allowed": (JSON, _filled(b'{"ids":[', b"{}", b"]}", 9_990)),
    "percent escapes": (FORM, b"text=" + b"%41" * (SIZE // 3 - 4)),
    "percent escapes apart": (FORM, b"text=" + b"%41a" * (SIZE // 4 - 4)),
    "stray percent signs": (FORM, b"text=" + b"%z" * (SIZE // 2 - 4)),
    "one stray percent sign": (FORM, b"text=" + b"%41" * (SIZE // 3 - 4) + b"%"),
    "backslashes": (FORM, b"text=%41" + b"\\" * (SIZE - 8)),
    "equals signs": (FORM, b"text=%41" + b"=" * (SIZE - 8)),
    "plus signs": (FORM, b"+" * SIZE),
    "empty pairs": (FORM, b"&" * SIZE),
    "brackets": (FORM, b"a" + b"[a]" * (SIZE // 3 - 4) + b"=1"),
    "deep pairs": (FORM, b"&".join(b"a%d" % n + b"[a]" * 31 + b"=" for n in range(1000))),
}
"""Content type and body of each."""
