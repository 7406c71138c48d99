from mcp_llama.bench.record import Spread
from mcp_llama.bench.spread import gaps, spread


def test_percentiles_are_values_that_were_measured() -> None:
    assert spread(range(100, 0, -1)) == Spread(p50=50, p95=95, p99=99, max=100)


def test_a_few_values_have_percentiles_too() -> None:
    assert spread([3.0, 1.0]) == Spread(p50=1.0, p95=3.0, p99=3.0, max=3.0)
    assert spread([2.0]) == Spread(p50=2.0, p95=2.0, p99=2.0, max=2.0)


def test_no_values_have_no_percentiles() -> None:
    assert spread([]) is None


def test_gaps_lie_between_neighbours() -> None:
    assert gaps([1.0, 1.5, 4.0]) == [0.5, 2.5]
    assert gaps([1.0]) == []
