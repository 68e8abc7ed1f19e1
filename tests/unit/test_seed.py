"""The schema of order_stages.create against the table of the Plano API's own page."""

import tables
from support.seed import PAGE


def test_seed_params_have_the_name_type_order_and_flag_of_the_page() -> None:
    page = [tuple(cell.strip() for cell in line.split("|")) for line in PAGE.strip().splitlines()]
    documented = [row[:4] for row in tables.params(tables.schema_of("order_stages.create"))]
    assert documented == page


def test_seed_requires_one_of_the_two_order_ids() -> None:
    schema = tables.schema_of("order_stages.create")
    assert schema["anyOf"] == [{"required": ["order_id"]}, {"required": ["order_request_id"]}]


def test_seed_params_all_have_a_description() -> None:
    assert all(row[4] for row in tables.params(tables.schema_of("order_stages.create")))
