"""OpenTelemetry's standard variables: whether they ask for traces, and for which sampler."""

import pytest

from gateway.runtime.tracing.set_up import is_asked_for, sampler_of

ADDRESS = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Reports(list[str]):
    """The variables that were reported."""

    def __call__(self, variable: str, reason: str) -> None:
        assert reason
        self.append(variable)


@pytest.mark.parametrize(
    ("variables", "asked", "reported"),
    [
        ({}, False, []),
        ({"OTEL_SERVICE_NAME": "gateway", "OTEL_TRACES_SAMPLER": "always_on"}, False, []),
        (ADDRESS, True, []),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector/v1/traces"}, True, []),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector/v1/metrics"}, False, []),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True, []),
        ({**ADDRESS, "OTEL_TRACES_EXPORTER": "none"}, False, []),
        ({**ADDRESS, "OTEL_TRACES_EXPORTER": "console"}, False, ["OTEL_TRACES_EXPORTER"]),
        ({**ADDRESS, "OTEL_TRACES_EXPORTER": "console, otlp"}, True, []),
        ({**ADDRESS, "OTEL_SDK_DISABLED": "True"}, False, []),
        ({**ADDRESS, "OTEL_SDK_DISABLED": "false"}, True, []),
        ({**ADDRESS, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True, []),
        (
            {**ADDRESS, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            True,
            ["OTEL_EXPORTER_OTLP_PROTOCOL"],
        ),
    ],
)
def test_variables_ask_for_traces_with_an_address_or_an_exporter(
    variables: dict[str, str], *, asked: bool, reported: list[str]
) -> None:
    reports = Reports()
    assert is_asked_for(variables, reports) is asked
    assert reports == reported


@pytest.mark.parametrize(
    ("name", "argument", "keeps", "reported"),
    [
        ("", "", True, []),
        ("always_off", "", False, []),
        ("Always_Off", "0.5", False, []),
        ("traceidratio", "0", False, []),
        ("parentbased_traceidratio", "1", True, []),
        # As the SDK: an unknown sampler is the default one, a wrong ratio is 1.
        ("jaeger_remote", "0", True, ["OTEL_TRACES_SAMPLER"]),
        ("traceidratio", "", True, ["OTEL_TRACES_SAMPLER_ARG"]),
        ("traceidratio", "2", True, ["OTEL_TRACES_SAMPLER_ARG"]),
        ("traceidratio", "nan", True, ["OTEL_TRACES_SAMPLER_ARG"]),
    ],
)
def test_sampler_is_that_of_the_variables(
    name: str, argument: str, *, keeps: bool, reported: list[str]
) -> None:
    reports = Reports()
    variables = {"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert sampler_of(variables, reports).keeps(TRACE) is keeps
    assert reports == reported
