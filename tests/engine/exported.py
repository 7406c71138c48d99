"""What an engine exports to Prometheus, read back from the text."""

from prometheus_client import CollectorRegistry, generate_latest


def exported(registry: CollectorRegistry) -> dict[str, float]:
    """The values of all samples, by name and labels as they are written."""
    lines = generate_latest(registry).decode().splitlines()
    samples = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in samples}


def exported_types(registry: CollectorRegistry) -> dict[str, str]:
    """The types of all metrics, without the times at which they were created."""
    lines = [line.split(" ") for line in generate_latest(registry).decode().splitlines() if line.startswith("# TYPE ")]
    return {name: kind for _, _, name, kind in lines if not name.endswith("_created")}
