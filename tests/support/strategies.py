"""Random manifests: everything a manifest may hold, with texts that YAML parsers misread."""

import json
import re
from pathlib import Path
from typing import Any
from zlib import crc32

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from gateway.manifest.check import Desired, check

few_examples = settings(deadline=None, database=None, max_examples=25)
"""For properties of a whole registry, where each example takes several transactions."""

ODD = (
    *("off", "on", "yes", "No", "y", "true", "True", "null", "Null", "~", "", " ", "=", "<<"),
    *("1:30", "007", "0x1F", "0o7", "1e5", "1e400", "12e03", ".5", "1.", "+1", "-0", "1_000"),
    *(".inf", ".nan", "2026-01-01", "-", "---", "--- a", "...", "- a", "? a", ": ", "a: b"),
    *("a #b", "#x", "@x", "`x", "%x", "!x", "!!int 1", "&x", "*x", "|", ">", ",", "{", "[]"),
    *("'", '"', "\\", "it's", 'a "b"', "\\n", "two\nlines", "three\n\nlines\n", "\n", " \n x"),
    *("\n  deep\n", "\ttab", "tab\there", "trail ", " lead", "\r\n", "a\rb", "a\x85b", "a\u2028b"),
    *("\ufeff", "\x7f", "\x1b[31m", "\u200b", "\uffff", "żółw", "日本", "🙂", "\U0010ffff"),
    *("a" * 200, "word " * 60, "word\n" * 30, "ü " * 80, " " * 120, "a\n---\nb", "a\n...\nb"),
)

texts = st.sampled_from(ODD) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30
)
_titles = texts.filter(bool)
_numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
_annotations = st.fixed_dictionaries(
    {},
    optional={
        "title": texts,
        "description": texts,
        "default": _values,
        "x-order": st.integers(1, 999),
        "x-note": _values,
    },
)


def _object(inner: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda properties, count, keywords: {
            "type": "object",
            "properties": properties,
            "required": list(properties)[:count],
            **keywords,
        },
        st.dictionaries(texts, inner, max_size=3),
        st.integers(0, 2),
        st.fixed_dictionaries({}, optional={"additionalProperties": st.booleans() | inner}),
    )


_leaves: SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.builds(lambda values: {"enum": values}, st.lists(_values, min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, _values),
    st.builds(lambda n: {"type": "string", "maxLength": n}, st.integers(0, 99)),
    st.sampled_from(
        [
            {"type": "string", "pattern": "^[a-z]: #\\d+$"},
            {"type": "string", "format": "date"},
            {"type": ["string", "null"]},
            {"type": "boolean"},
            {"type": "integer", "minimum": -1, "maximum": 1e5},
            {"type": "number", "multipleOf": 0.1},
            {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        ]
    ),
)
_schemas = st.recursive(
    st.builds(lambda schema, annotations: {**annotations, **schema}, _leaves, _annotations),
    lambda inner: st.one_of(
        st.builds(
            lambda items, annotations: {"type": "array", "items": items, **annotations},
            *(inner, _annotations),
        ),
        st.builds(
            lambda schema, annotations: {**annotations, **schema}, _object(inner), _annotations
        ),
    ),
    max_leaves=4,
)
SLUGS = ["off", "null", "true", "y", "a-1", "e5", "no-such-thing", "x" * 63]
_slugs = st.sampled_from(SLUGS)
_days = st.dates().map(lambda day: f"{day:%Y-%m-%d}".zfill(10))
_roles = st.lists(st.sampled_from(["client", "employee", "liaison"]), unique=True)


def _code(slug: str) -> int:
    """The HTTP code of a slug, the same in every route."""
    return 400 + crc32(slug.encode()) % 200


@st.composite
def _params(draw: Any, path: str, *, public: bool) -> dict[str, Any]:
    schema = {**draw(_annotations), **draw(_object(_schemas))}
    for name in re.findall(r"\{(\w+)", path):
        schema["properties"].setdefault(name, {})
    common = ["application", "application_view", "session_view", *(["token"] if public else [])]
    omitted = draw(st.lists(st.sampled_from(common), unique=True))
    return {**schema, **({"x-omit": omitted} if omitted else {})}


@st.composite
def _route(draw: Any, name: str, handlers: list[str]) -> dict[str, Any]:
    path = (
        "/" + name.replace(".", "/") + draw(st.sampled_from(["", "/{id:int}", "/x/{key:uuid}/{n}"]))
    )
    public = draw(st.booleans())
    kinds = st.lists(st.sampled_from(["application", "session"]), min_size=1, unique=True)
    statuses = draw(st.dictionaries(_slugs, _titles, max_size=3))
    optional: dict[str, SearchStrategy[Any]] = {
        "handler": st.sampled_from(handlers),
        "description": texts,
        "client_required": st.booleans(),
        "sensitive_params": st.booleans(),
        "envelope": st.sampled_from(["plano", "shoplo"]),
        "statuses": st.just(
            {slug: {"http": _code(slug), "meaning": m} for slug, m in statuses.items()}
        ),
        "rate_limit": st.builds(
            "{}/{}".format, st.integers(1, 10**8), st.sampled_from(["second", "minute", "hour"])
        ),
        "timeout": st.builds("{}{}".format, st.integers(1, 10**6), st.sampled_from(["s", "ms"])),
        "max_body": st.builds(
            "{}{}".format, st.integers(1, 999), st.sampled_from(["B", "KiB", "MiB"])
        ),
        "max_values": st.integers(1, 10**6),
        "documented": st.booleans(),
        "deprecated": _days,
        **draw(
            st.sampled_from(
                [
                    {"returns": _object(_schemas)},
                    {"examples": st.fixed_dictionaries({}, optional={"returns": _values})},
                ]
            )
        ),
    }
    if not public:
        optional["roles"] = st.dictionaries(_slugs, _roles, max_size=3)
    fixed = {
        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
        "path": st.just(path),
        "deployed": st.booleans(),
        "title": _titles,
        "auth": st.just("public") if public else kinds,
        "params": _params(path, public=public),
    }
    route: dict[str, Any] = draw(st.fixed_dictionaries(fixed, optional=optional))
    if route["method"] == "GET":
        route.pop("sensitive_params", None)
    if route["method"] in {"GET", "POST"} and draw(st.booleans()):
        stale = draw(st.integers(1000, 300_000).map("{}ms".format) | st.just("5s"))
        route["reads"] = {"from": "replica", "stale": stale}
    return route


@st.composite
def _document(
    draw: Any, namespace: str, services: tuple[str, ...], slugs: list[str]
) -> dict[str, Any]:
    """A document of some of the services; it declares the applications with these slugs."""
    service = st.fixed_dictionaries(
        {"kind": st.just("python"), "deployed": st.booleans(), "title": _titles},
        optional={"settings": st.dictionaries(texts, texts, max_size=2)},
    )
    application = st.fixed_dictionaries({"title": _titles, "roles": _roles})
    drawn = draw(st.lists(st.sampled_from(services), min_size=1, unique=True))
    actions = [f"{name}.{action}" for name in drawn for action in ("no", "create", "null")]
    routes = draw(st.lists(st.sampled_from(actions), max_size=3, unique=True))
    return {
        "version": 1,
        "namespace": namespace,
        "applications": {slug: draw(application) for slug in slugs},
        "services": {name: draw(service) for name in drawn},
        "routes": {name: draw(_route(name, actions)) for name in routes},
    }


manifests = st.tuples(
    _document("alpha", ("off", "null"), SLUGS[:4]),
    _document("y", ("true", "things"), SLUGS[4:]),
)
"""Two namespaces; they and their services are named after special words of YAML."""


def write_and_check(folder: Path, documents: tuple[dict[str, Any], ...]) -> list[Desired]:
    """The desired state of documents, written as YAML without the gateway's own writer."""
    file = folder / "drawn.yaml"
    file.write_text("\n---\n".join(map(_as_json, documents)), encoding="ascii")
    return check(file)


def _as_json(document: Any) -> str:
    """JSON in ASCII, with surrogate pairs as the single escapes that YAML has."""
    text = json.dumps(document).replace("\x7f", "\\x7f")
    return re.sub(r"\\u(d[89ab]..)\\u(d[c-f]..)", _astral, text)


def _astral(pair: re.Match[str]) -> str:
    high, low = int(pair[1], 16), int(pair[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + low - 0xDC00:08x}"
