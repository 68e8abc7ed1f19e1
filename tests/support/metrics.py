"""Reads the metrics of a worker in a test."""

from collections.abc import Iterator

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.serve.worker import Worker
from support.harness import Client


async def ask(worker: Worker, path: str, **headers: str) -> httpx2.Response:
    """Request a page of the admin port."""
    transport = httpx2.ASGITransport(worker.admin.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://admin") as http:
        return await http.get(path, headers=headers)


async def text(client: Client) -> str:
    """The metrics of a client's worker."""
    answer = await ask(client.worker, "/-/metrics")
    assert (answer.status_code, answer.headers["content-type"][:10]) == (200, "text/plain")
    return answer.text


def samples(page: str) -> Iterator[Sample]:
    """All samples of a page of metrics."""
    for family in text_string_to_metric_families(page):
        yield from family.samples


def total(page: str, name: str, **labels: str) -> float:
    """The sum of all samples with this name and these labels."""
    return sum(
        sample.value
        for sample in samples(page)
        if sample.name == name and labels.items() <= sample.labels.items()
    )
