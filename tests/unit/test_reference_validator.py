"""Params are accepted exactly if the reference implementation of JSON Schema accepts them."""

from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders import examples, judged
from support.schemas import params_schemas, values_of

from gateway.values import Rejection


def accepted(schema: dict[str, Any], values: dict[str, Any]) -> bool:
    """Whether the pipeline accepts these values; a refusal lists what is wrong."""
    try:
        judged(schema, values)
    except Rejection as rejection:
        assert rejection.errors
        return False
    return True


@settings(examples, max_examples=250)
@given(st.data())
def test_verdict_is_that_of_the_reference_implementation(data: st.DataObject) -> None:
    schema = data.draw(params_schemas())
    reference = jsonschema.Draft202012Validator(schema)
    for values in data.draw(st.lists(values_of(schema), min_size=2, max_size=6)):
        assert accepted(schema, values) == reference.is_valid(values)
