"""EngineMetrics: what one engine counts and measures.

The names that begin with `llamacpp:` and their meanings are those of llama.cpp's own server. Seconds everywhere.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from mcp_llama.engine.cpu_time import LlamaCpuTime
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.types import Finish

_MANY_GAPS = 1024
_LATENCIES = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5)
_WAITS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)


class EngineMetrics:
    """Counters and histograms of one engine. Any thread may count, and read the registry.

    `cpu_time` is what engines of one process count together; then it is in a registry already.
    """

    def __init__(self, cpu_time: LlamaCpuTime | None = None) -> None:
        self.registry = registry = CollectorRegistry()
        self._gaps: deque[float] = deque()
        registry.register(_Backlog(self._count_gaps))

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, registry=registry, buckets=buckets)

        self._prompt_tokens = counter("llamacpp:prompt_tokens", "Prompt tokens computed, without cached ones")
        self._cached_tokens = counter("llamacpp:prompt_tokens_cached", "Prompt tokens reused from the cache")
        self._prompt_seconds = counter("llamacpp:prompt_seconds", "Time from slot to first token, over all requests")
        self._tokens = counter("llamacpp:tokens_predicted", "Tokens sampled")
        self._token_seconds = counter(
            "llamacpp:tokens_predicted_seconds", "Time from first token to end, over all requests"
        )
        self._decodes = counter("llamacpp:n_decode", "Calls of llama_decode")
        self._longest = gauge("llamacpp:n_tokens_max", "Longest sequence so far, prompt and completion")
        self._processing = gauge("llamacpp:requests_processing", "Requests that have a slot")
        self._deferred = gauge("llamacpp:requests_deferred", "Requests that wait for a slot")
        self._busy_slots = gauge("llamacpp:n_busy_slots_per_decode", "Mean number of sequences in a batch")
        prompt_rate = gauge("llamacpp:prompt_tokens_seconds", "Mean rate of prompt tokens")
        token_rate = gauge("llamacpp:predicted_tokens_seconds", "Mean rate of sampled tokens of one request")
        self._ttft = histogram("mcp_llama_ttft_seconds", "From a request's arrival to its first token", _WAITS)
        self._itl = histogram("mcp_llama_itl_seconds", "Between two tokens of a request", _LATENCIES)
        self._queue_time = histogram("mcp_llama_queue_seconds", "From a request's arrival to its slot", _WAITS)
        self._batch_rows = histogram("mcp_llama_batch_rows", "Rows of a llama_decode", _ROWS)
        self._hits = counter("mcp_llama_prefix_cache_hits", "Requests that found a part of their prompt computed")
        self._misses = counter("mcp_llama_prefix_cache_misses", "Requests that computed their whole prompt")
        self._finished = counter("mcp_llama_requests_finished", "Requests that ended", "finish_reason")
        self._failed = counter("mcp_llama_requests_failed", "Requests that ended with an error")
        self._cancelled = counter("mcp_llama_requests_cancelled", "Requests that their callers gave up")
        self._stalled = counter("mcp_llama_requests_stalled", "Requests that ended because nobody read them")
        self._refused = counter("mcp_llama_requests_refused", "Requests that found the queue full")
        self._preemptions = counter(
            "mcp_llama_preemptions", "Times that a request gave its KV cells back to older ones"
        )
        self._pauses = counter("mcp_llama_reader_pauses", "Times that a request paused because its reader fell behind")
        self._llama_cpu = cpu_time or LlamaCpuTime()
        if cpu_time is None:
            registry.register(self._llama_cpu)
        self._sequences = 0
        self._decoded = 0
        self._longest_tokens = 0
        self._prompt = _Work(self._prompt_seconds)
        self._completion = _Work(self._token_seconds)
        prompt_rate.set_function(self._prompt.rate)
        token_rate.set_function(self._completion.rate)
        self._busy_slots.set_function(lambda: self._sequences / max(1, self._decoded))
        self._longest.set_function(lambda: self._longest_tokens)

    def watch(self, processing: Callable[[], int], deferred: Callable[[], int]) -> None:
        """Where the numbers of running and of waiting requests are read."""
        self._processing.set_function(processing)
        self._deferred.set_function(deferred)

    def watch_nothing(self) -> None:
        """Both are 0 from now on; what was watched is free to go."""
        self.watch(int, int)

    def llama_cpu(self, cpu_s: float) -> None:
        """llama.cpp decoded and sampled for so long on the engine thread."""
        self._llama_cpu.engine_s += cpu_s

    def decoded(self, rows: int, prompt_rows: int, sequences: int) -> None:
        """A llama_decode of so many rows, some of them prompt tokens, for so many sequences."""
        self._decodes.inc()
        self._batch_rows.observe(rows)
        self._decoded += 1
        self._sequences += sequences
        if prompt_rows:
            self._prompt_tokens.inc(prompt_rows)

    def admitted(self, queue_s: float, cached_tokens: int) -> None:
        """A request got its slot, which holds so many of its tokens."""
        self._queue_time.observe(queue_s)
        (self._hits if cached_tokens else self._misses).inc()
        self._cached_tokens.inc(cached_tokens)

    def first_token(self, ttft_s: float) -> None:
        """A request's first token was sampled so long after its arrival."""
        self._tokens.inc()
        self._ttft.observe(ttft_s)

    def next_token(self, itl_s: float) -> None:
        """A request's next token was sampled so long after the one before."""
        self._gaps.append(itl_s)
        if len(self._gaps) >= _MANY_GAPS:
            self._count_gaps()

    def preempted(self, count: int) -> None:
        """So many requests went back to wait."""
        if count:
            self._preemptions.inc(count)

    def _count_gaps(self) -> None:
        with suppress(IndexError):
            while True:
                self._itl.observe(self._gaps.popleft())
                self._tokens.inc()

    def paused(self) -> None:
        """A request stopped because its reader fell behind."""
        self._pauses.inc()

    def cancelled(self) -> None:
        """A request's caller gave it up."""
        self._cancelled.inc()

    def stalled(self) -> None:
        """A request ended because nobody read it."""
        self._stalled.inc()

    def refused(self) -> None:
        """A request found the queue full."""
        self._refused.inc()

    def finished(self, sequence: Sequence, finish: Finish) -> None:
        """A request ended."""
        (self._finished.labels(finish.reason) if finish.error is None else self._failed).inc()
        self._longest_tokens = max(self._longest_tokens, len(sequence.tokens))
        if sequence.admitted is None:
            return
        prompt_end = finish.finished if sequence.first_token is None else sequence.first_token
        computed = min(sequence.num_computed_tokens, len(sequence.request.prompt)) - sequence.cached_tokens
        self._prompt.add(max(0, computed), prompt_end - sequence.admitted)
        self._completion.add(sequence.completion_tokens, finish.finished - prompt_end)


class _Backlog(Collector):
    """Has what was only noted counted before the others are read; it must be the first in its registry."""

    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        """Nothing of its own."""
        self._count()
        return iter(())


class _Work:
    """Tokens and the seconds they took, summed over requests."""

    def __init__(self, seconds: Counter) -> None:
        self._counter = seconds
        self._tokens = 0
        self._seconds = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        self._counter.inc(seconds)
        self._tokens += tokens
        self._seconds += seconds

    def rate(self) -> float:
        return self._tokens / self._seconds if self._seconds else 0.0
