"""order_stages.create on a real database."""

from conftest import Client


async def test_a_stage_and_the_status_are_written(client: Client) -> None:
    response = await client.create_stage(order_id=7)
    assert response.status_code == 200, response.text
    print(response.text)
