"""Sets tracing up from OpenTelemetry's standard variables, and from nothing else.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from gateway.runtime import events
from gateway.runtime.tracing import sampler, spans
from gateway.runtime.tracing.sampler import Sampler

if TYPE_CHECKING:
    from gateway.runtime.tracing.otlp import Exporter

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
EXPORTERS = "OTEL_TRACES_EXPORTER"
DISABLED = "OTEL_SDK_DISABLED"
SAMPLER = "OTEL_TRACES_SAMPLER"
SAMPLER_ARGUMENT = "OTEL_TRACES_SAMPLER_ARG"
EXTRA = "opentelemetry"
"""The package whose absence means that the extra `otel` is not installed."""

Report = Callable[[str, str], None]
"""Says that a variable is not used as it is set, and why."""


class Tracing:
    """The tracing of one worker; `sampler` is None if no traces are exported.

    Of several workers the first one reports what is wrong with the variables.
    """

    def __init__(self, environment: Mapping[str, str], *, reports: bool = True) -> None:
        self.sampler: Sampler | None = None
        self._exporter: Exporter | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        report = _report if reports else _ignore
        if is_asked_for(environment, report):
            self._exporter = _exporter(reports=reports)
        if self._exporter:
            self.sampler = sampler_of(environment, report)

    def start(self) -> None:
        """Export the spans that are recorded from now on."""
        if self._exporter:
            self._unsubscribe = spans.subscribe(self._exporter.record)

    async def stop(self) -> None:
        """Export what is left, for at most a few seconds."""
        self._unsubscribe()
        if self._exporter:
            await self._exporter.close()


def is_asked_for(environment: Mapping[str, str], report: Report) -> bool:
    """Whether the variables ask for traces: an address or the exporter `otlp`, not switched off."""
    names = {name.strip() for name in _text(environment, EXPORTERS).split(",")} - {""}
    if _text(environment, DISABLED) == "true" or names == {"none"}:
        return False
    if names and "otlp" not in names:
        report(EXPORTERS, "only otlp and none are known; no traces are exported")
        return False
    if not names and not any(_text(environment, name) for name in ENDPOINTS):
        return False
    protocol = next((name for name in PROTOCOLS if _text(environment, name)), None)
    if protocol and _text(environment, protocol) != PROTOCOL:
        report(protocol, f"only {PROTOCOL} is known, and used")
    return True


def sampler_of(environment: Mapping[str, str], report: Report) -> Sampler:
    """The sampler that the variables name; as in the SDK, an invalid value is the default."""
    name = _text(environment, SAMPLER) or sampler.DEFAULT
    if name not in sampler.NAMES:
        report(SAMPLER, f"the sampler is unknown; {sampler.DEFAULT} is used")
        name = sampler.DEFAULT
    if not name.endswith(sampler.RATIO):
        return Sampler(name)
    try:
        return Sampler(name, float(_text(environment, SAMPLER_ARGUMENT)))
    except ValueError:
        report(SAMPLER_ARGUMENT, "it must be a number from 0 to 1; 1 is used")
        return Sampler(name)


def _text(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip().lower()


def _exporter(*, reports: bool) -> "Exporter | None":
    """The exporter; None, with an event, if it cannot be made: the gateway serves without it."""
    try:
        module: Any = import_module("gateway.runtime.tracing.otlp")
        exporter: Exporter = module.Exporter()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != EXTRA:
            raise
        reason = "the extra `otel` is not installed"
    except Exception as error:  # noqa: BLE001 - the SDK refuses invalid variables in many ways
        reason = f"the SDK refuses the variables: {type(error).__name__}"
    else:
        return exporter
    if reports:
        events.emit(events.TRACING_UNAVAILABLE, reason=reason)
    return None


def _report(variable: str, reason: str) -> None:
    events.emit(events.TRACING_VARIABLE_IGNORED, variable=variable, reason=reason)


def _ignore(_: str, __: str) -> None:
    """Another worker reports it."""
