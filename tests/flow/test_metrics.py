"""Metrics: what is counted, which labels there are, and how many label sets there can be."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.harness import Client, execute, settings, until
from support.mail import MailSetup, create, disconnect_database, set_client_email
from support.metrics import ask, samples, text, total
from support.probe import SECRET

from gateway.runtime import events, metrics
from gateway.runtime.metric_catalogue import DURATIONS, METRICS
from gateway.runtime.metrics import MAX_LABEL_SETS, Metrics, WorkerState
from gateway.runtime.service_usage import EndpointTotals, ServiceUsage
from gateway.serve.worker import Worker

CREATE = "order_stages.create"
OLDEST = "gateway_outbox_oldest_seconds"
COUNT = "http_server_request_duration_seconds_count"
LABELS = {metric.name: set(metric.labels) for metric in METRICS}


def rendered(counts: Metrics) -> str:
    counts.flush(WorkerState(revision=1))
    return counts.text("")[0].decode()


def routes_of(page: str) -> set[str]:
    return {sample.labels["http_route"] for sample in samples(page) if sample.name == COUNT}


async def test_metrics_count_each_request_once_by_route_method_code_and_status(
    client: Client,
) -> None:
    for order in (7, 8, 4711):
        await client.create_stage(order_id=order)
    page = await text(client)
    post = {"http_route": CREATE, "http_request_method": "POST"}
    good = {**post, "http_response_status_code": "200", "status": "action-successful"}
    bad = {**post, "http_response_status_code": "400", "status": "invalid-param"}
    assert total(page, COUNT, **good) == 2
    assert total(page, COUNT, **bad) == 1
    assert total(page, COUNT) == 3
    assert total(page, "gateway_answers_total", status="action-successful", fault="none") == 2
    assert total(page, "gateway_answers_total", status="invalid-param", fault="caller") == 1
    assert total(page, "gateway_answers_total") == 3


async def test_metrics_request_duration_is_in_its_bucket(client: Client) -> None:
    worker = client.worker
    worker.metrics.count("a.b", "GET", 200, "action-successful", "none", 0.3)
    page = await text(client)
    bucket = "http_server_request_duration_seconds_bucket"
    assert total(page, bucket, http_route="a.b", le="0.25") == 0
    assert total(page, bucket, http_route="a.b", le="0.5") == 1
    assert total(page, "http_server_request_duration_seconds_sum", http_route="a.b") == 0.3


def test_metrics_histogram_equals_that_of_the_library() -> None:
    times = [*metrics.BUCKETS, *(bound + 1e-9 for bound in metrics.BUCKETS), 0.0, 3.0, 60.0]
    registry = CollectorRegistry()
    library = Histogram(
        DURATIONS.name,
        DURATIONS.sentence,
        DURATIONS.labels,
        buckets=metrics.BUCKETS,
        registry=registry,
    )
    counts = Metrics()
    for seconds in times:
        counts.count("a.b", "GET", 200, "action-successful", "none", seconds)
        library.labels("GET", "a.b", 200, "action-successful").observe(seconds)
    ours = [sample for sample in samples(rendered(counts)) if "http_route" in sample.labels]
    theirs = list(samples(generate_latest(registry).decode()))
    assert [(s.name, s.labels) for s in ours] == [(s.name, s.labels) for s in theirs]
    assert [s.value for s in ours] == pytest.approx([s.value for s in theirs])


async def test_metrics_names_and_labels_match_the_table(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = {"http://10.0.0.5:9000": EndpointTotals({"answered": 1}, seconds=0.1, ejections=0)}
    usage = ServiceUsage("tours", 0, 0, 0, 0, endpoints=[], totals=totals)
    monkeypatch.setattr(client.worker.http, "usage", lambda: [usage])
    await client.create_stage(order_id=7)
    events.emit(events.DATABASE_UP)
    await client.worker.reporter._report()
    labels: dict[str, set[str]] = {}
    kinds = {}
    for family in text_string_to_metric_families(await text(client)):
        if not family.name.startswith("process_"):
            # The parser removes the suffix of a counter's name.
            name = family.name + "_total" * (family.type == "counter")
            kinds[name] = family.type
            names = {label for sample in family.samples for label in sample.labels}
            labels[name] = names - {"le"}
    assert labels == LABELS
    assert kinds == {metric.name: metric.kind for metric in METRICS}


async def test_metrics_of_a_single_worker_include_its_process(client: Client) -> None:
    assert total(await text(client), "process_resident_memory_bytes") > 0


async def test_metrics_are_served_as_openmetrics_on_request(client: Client) -> None:
    answer = await ask(client.worker, "/-/metrics", accept="application/openmetrics-text")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


async def test_metrics_contain_no_path_and_no_token(probe: Client) -> None:
    token = probe.tokens["employee"]
    bearer = {"authorization": f"Bearer {token}"}
    assert (await probe.request("GET", "/probe/4242", headers=bearer)).status_code == 200
    await probe.request("GET", f"/probe/{token}", headers=bearer)
    await probe.request("GET", f"/nowhere/{token}?token={token}")
    await probe.post("/api/v1/probe/echo", {"token": token, "text": SECRET})
    await probe.post("/api/v1/probe/crash", {"token": token})
    await probe.post("/api/v1/probe/echo", {"token": "plano_ses_unknown"})
    await probe.request(token, "/nowhere")
    page = await text(probe)
    for hidden in (token, token.removeprefix("plano_ses_"), "4242", "nowhere", SECRET, "unknown"):
        assert hidden.lower() not in page.lower()
    assert total(page, COUNT, http_route="probe.get") == 1
    assert total(page, COUNT, http_route="", status="route-non-existent") == 3


async def test_metrics_unknown_method_is_counted_as_other(client: Client) -> None:
    for method in ("PROPFIND", "NONSENSE", "BREW"):
        await client.request(method, "/nowhere")
    await client.request("HEAD", "/nowhere")
    page = await text(client)
    assert total(page, COUNT, http_request_method="_OTHER") == 3
    assert total(page, COUNT, http_request_method="HEAD") == 1


async def test_metrics_label_route_statuses_and_crashes_with_their_fault(probe: Client) -> None:
    token = probe.tokens["employee"]
    await probe.post("/api/v1/probe/own", {"token": token})
    await probe.post("/api/v1/probe/crash", {"token": token})
    page = await text(probe)
    assert total(page, "gateway_answers_total", status="probe-refused", fault="caller") == 1
    assert total(page, "gateway_answers_total", status="application-crash", fault="gateway") == 1


async def test_metrics_count_a_client_that_left_without_a_code(client: Client) -> None:
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/order_stages/create",
        "raw_path": b"/api/v1/order_stages/create",
        "query_string": b"",
        "headers": [],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        raise AssertionError

    await client.worker.app(scope, receive, send)
    left = {"status": "client-left", "http_response_status_code": "", "http_route": CREATE}
    assert total(await text(client), COUNT, **left) == 1


async def test_metrics_gauges_follow_the_worker(probe: Client) -> None:
    page = await text(probe)
    assert total(page, "http_server_active_requests") == 0
    assert total(page, "gateway_registry_revision") == 2
    assert total(page, "gateway_registry_degraded") == 0
    assert total(page, "gateway_database_unavailable") == 0
    request = asyncio.create_task(
        probe.post("/api/v1/probe/slow", {"token": probe.tokens["employee"]})
    )
    await until(lambda: probe.worker.pipeline.admission.in_flight == 1)
    assert total(await text(probe), "http_server_active_requests") == 1
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    assert total(await text(probe), "http_server_active_requests") == 0


async def test_metrics_and_readiness_report_a_missing_database() -> None:
    worker = Worker(settings("postgresql://127.0.0.1:1/nowhere"))
    worker.pool.problem = "it is gone"
    page = (await ask(worker, "/-/metrics")).text
    for name in ("gateway_registry_degraded", "gateway_database_unavailable"):
        assert total(page, name) == 1
    assert total(page, "gateway_registry_revision") == 0
    answer = await ask(worker, "/-/ready")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert answer.json()["trouble"] == ["the registry is not loaded yet", "it is gone"]


async def test_readiness_on_the_admin_port_has_details(client: Client) -> None:
    answer = await ask(client.worker, "/-/ready")
    assert answer.status_code == 200
    current = client.worker.registry.current
    assert current
    assert answer.json() == {
        "ready": True,
        "degraded": False,
        "draining": False,
        "database": True,
        "revision": 1,
        "revision_uid": str(current.revision_uid),
        "trouble": [],
        "worker": client.worker.registry.name,
        "routes": 21,
        "in_flight": 0,
        "bodies": 0,
    }
    client.worker.health.draining = True
    answer = await ask(client.worker, "/-/ready")
    assert (answer.status_code, answer.json()["draining"]) == (503, True)
    assert (await ask(client.worker, "/-/live")).json() == {"live": True}


async def test_metrics_have_the_age_of_the_oldest_waiting_mail_also_in_an_outage(
    setup: MailSetup,
) -> None:
    def oldest(client: Client) -> dict[str, float]:
        return client.worker.outbox.oldest()

    async with setup.serving() as client:
        assert oldest(client) == {"mail": 0, "webhook": 0}
        await set_client_email(client, "drop@x.y")
        await create(client)
        hour = "update gateway.outbox set created_at = now() - interval '1 hour'"
        await execute(setup.database, hour)
        await until(lambda: oldest(client)["mail"] >= 3600)
        assert total(await text(client), OLDEST, kind="mail") >= 3600
        assert total(await text(client), OLDEST, kind="webhook") == 0
        await disconnect_database(client)
        before = oldest(client)["mail"]
        await until(lambda: oldest(client)["mail"] > before)
        client.worker.listener._dsn = setup.database
        await execute(setup.database, "update gateway.outbox set state = 'discarded'")
        await until(lambda: oldest(client)["mail"] == 0)


# Limits of label sets


async def test_metrics_routes_beyond_the_label_limit_are_other(
    probe: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "MAX_LABEL_SETS", 2)
    token = {"token": probe.tokens["employee"]}
    for route in ("echo", "public", "shoplo", "shoplo", "own", "echo"):
        await probe.post(f"/api/v1/probe/{route}", token)
    await probe.post("/nowhere")
    page = await text(probe)
    assert routes_of(page) == {"probe.echo", "probe.public", "other", ""}
    assert total(page, COUNT, http_route="probe.echo") == 2
    assert total(page, COUNT) == 7
    assert total(page, "gateway_answers_total", status="other", fault="caller") == 1


def test_metrics_of_5000_routes_stay_within_the_label_limit() -> None:
    counts = Metrics()
    for number in range(5000):
        for slug in ("action-successful", "invalid-param", f"own-{number}"):
            counts.count(f"things.action_{number}", "POST", 200, slug, "none", 0.001)
    page = rendered(counts)
    assert total(page, COUNT) == 15_000
    assert total(page, "gateway_answers_total") == 15_000
    assert sum(sample.name == COUNT for sample in samples(page)) == MAX_LABEL_SETS + 3
    assert "other" in routes_of(page)
    known = {s.labels["status"] for s in samples(page) if s.name == "gateway_answers_total"}
    assert len(known) < MAX_LABEL_SETS
    assert "own-4999" not in known
