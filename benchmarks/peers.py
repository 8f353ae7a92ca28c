"""OpenTelemetry's metrics with its exporter for Prometheus: in one process's memory, since it knows no other way."""

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import Counter, MeterProvider
from prometheus_client import CollectorRegistry


def provider(registry: CollectorRegistry, most: int = 2_000) -> MeterProvider:
    """What gives meters, to be scraped by the registry; beyond so many series a counter's would be one, "other"."""
    return MeterProvider([PrometheusMetricReader(registry=registry, cardinality_limits={Counter: most})])
