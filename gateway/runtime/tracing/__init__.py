"""Traces: which requests are recorded, their spans, and the export with OpenTelemetry's SDK."""
