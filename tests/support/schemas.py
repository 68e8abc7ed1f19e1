"""Random schemas of params, and values for each: about half of them satisfy it."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

NAMES = ("a", "b", "c", "dd")
PATTERNS = ("^a", "b$", "[0-9]+", "^(a|bb)*$", "^.{2}$")

# Within 64 bits: the gateway refuses larger integers, the reference does not.
_numbers = st.sampled_from((-3, -1, 0, 1, 2, 2.0, 2.5, 3, 7, 10**6, 2**62, 1e15, -0.0))
_texts = st.sampled_from(("", "a", "b", "ab", "abb", "12", "a1", "é", "🙂🙂", "\n", "a\nb"))
_leaves: SearchStrategy[Any] = st.booleans() | _numbers | _texts
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=6,
)
_sizes = st.integers(0, 3)


def _optional(**keywords: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    """At most two of these keywords: of more, most contradict each other."""
    chosen = st.lists(st.sampled_from(sorted(keywords)), max_size=2, unique=True)
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries({name: keywords[name] for name in names})
    )


def _typed(name: str, keywords: SearchStrategy[dict[str, Any]]) -> SearchStrategy[dict[str, Any]]:
    return keywords.map(lambda chosen: {"type": name, **chosen})


_names = st.sampled_from(NAMES)
_text = _optional(minLength=_sizes, maxLength=_sizes, pattern=st.sampled_from(PATTERNS))
_bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_number = _optional(
    **dict.fromkeys(_bounds, st.integers(-2, 4)), multipleOf=st.sampled_from((1, 2, 3, 0.5))
)
_scalars: SearchStrategy[dict[str, Any]] = st.one_of(
    _typed("string", _text),
    _typed("integer", _number),
    _typed("number", _number),
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "integer"]}),
    st.builds(lambda values: {"enum": values}, st.lists(_values, min_size=1, max_size=3)),
    st.builds(lambda value: {"const": value}, _values),
)


def _list(inner: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    keywords = _optional(
        items=inner,
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        contains=inner,
        minContains=_sizes,
        minItems=_sizes,
        maxItems=_sizes,
        uniqueItems=st.booleans(),
    )
    return _typed("array", keywords)


def _object(inner: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    names = st.lists(_names, unique=True, max_size=2)
    keywords = _optional(
        required=names,
        additionalProperties=st.booleans() | inner,
        patternProperties=st.dictionaries(st.sampled_from(("^a", "d")), inner, max_size=1),
        unevaluatedProperties=st.booleans(),
        propertyNames=_typed("string", _text),
        dependentRequired=st.dictionaries(_names, names, max_size=2),
        dependentSchemas=st.dictionaries(_names, inner, max_size=1),
        minProperties=_sizes,
        maxProperties=_sizes,
    )
    properties = st.dictionaries(_names, inner, min_size=1, max_size=3)
    return st.builds(
        lambda named, others: {"type": "object", "properties": named, **others},
        *(properties, keywords),
    )


def _combined(inner: SearchStrategy[Any]) -> SearchStrategy[dict[str, Any]]:
    several = st.lists(inner, min_size=1, max_size=3)
    keywords = {
        **dict.fromkeys(("allOf", "anyOf", "oneOf"), several),
        **dict.fromkeys(("not", "if", "then", "else"), inner),
    }
    return _optional(**keywords, **{"$ref": st.just("#/$defs/shared")})


_schemas = st.recursive(
    _scalars,
    lambda inner: st.one_of(_list(inner), _object(inner), _combined(inner)),
    max_leaves=5,
)


@st.composite
def params_schemas(draw: Any) -> dict[str, Any]:
    """A schema of an object, as routes have it, with one definition for its references."""
    schema: dict[str, Any] = draw(_object(_schemas))
    if draw(st.booleans()):
        schema = {**draw(_combined(_object(_schemas))), **schema}
    return {**schema, "$defs": {"shared": draw(_scalars)}}


def _fitting(schema: Any) -> SearchStrategy[Any]:
    """Values that are likely to satisfy a schema: of its type, with its names and bounds."""
    if not isinstance(schema, dict):
        return _values
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds: dict[Any, SearchStrategy[Any]] = {
        "string": _texts,
        "integer": st.integers(-3, 5) | _numbers,
        "number": _numbers,
        "boolean": st.booleans(),
    }
    kind = schema.get("type")
    if kind == "object":
        return values_of(schema)
    if kind == "array":
        return st.lists(_fitting(schema.get("items", schema.get("contains"))), max_size=3)
    return kinds.get(kind if isinstance(kind, str) else None, _values)


def values_of(schema: dict[str, Any]) -> SearchStrategy[dict[str, Any]]:
    """Objects that are likely to satisfy a schema, or any others; none has a null."""
    fitting = {name: _fitting(inner) for name, inner in schema.get("properties", {}).items()}
    required = {name: fitting.pop(name, _values) for name in schema.get("required", ())}
    complete = st.fixed_dictionaries(required, optional=fitting)
    incomplete = st.fixed_dictionaries({}, optional={**required, **fitting})
    return complete | incomplete | st.dictionaries(_names, _values, max_size=4)
