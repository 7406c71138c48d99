"""PoolMetrics: what the engines of all models count, told apart by the label `model`."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from mcp_llama.engine.cpu_time import LlamaCpuTime
from mcp_llama.engine.metrics import EngineMetrics


class PoolMetrics(Collector):
    """The metrics of several engines as one registry. Any thread. `cpu_time` is what all of them count."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.cpu_time = LlamaCpuTime()
        self.registry.register(self)
        self.registry.register(self.cpu_time)
        self._engines: dict[str, CollectorRegistry] = {}

    def add(self, model: str) -> EngineMetrics:
        """The metrics of one more model."""
        metrics = EngineMetrics(self.cpu_time)
        self._engines[model] = metrics.registry
        return metrics

    def collect(self) -> Iterator[Metric]:
        """All metrics, each with the samples of all models."""
        merged: dict[str, Metric] = {}
        for model, registry in list(self._engines.items()):
            for metric in registry.collect():
                whole = merged.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                whole.samples += [_labelled(sample, model) for sample in metric.samples]
        yield from merged.values()


def _labelled(sample: Sample, model: str) -> Sample:
    return sample._replace(labels={"model": model, **sample.labels})
