"""What a server counts, as an operator's machinery reads it."""

from prometheus_client.parser import text_string_to_metric_families

from tests.server.plain.streams import Asker


class Counts(dict[str, float]):
    """The values of all metrics by their names; those of one with labels are summed up."""

    @property
    def cancelled(self) -> float:
        """Requests that their callers gave up."""
        return self["mcp_llama_requests_cancelled_total"]

    @property
    def stalled(self) -> float:
        """Requests that ended because nobody read them."""
        return self["mcp_llama_requests_stalled_total"]

    @property
    def pauses(self) -> float:
        """Times that a request paused because its reader fell behind."""
        return self["mcp_llama_reader_pauses_total"]

    @property
    def waiting(self) -> float:
        """Requests that wait for a slot."""
        return self["llamacpp:requests_deferred"]

    @property
    def present(self) -> float:
        """Requests that have a slot or wait for one."""
        return self["llamacpp:requests_processing"] + self.waiting


async def counts_of(client: Asker) -> Counts:
    """The values now."""
    response = await client.http.get(f"{client.url}/metrics")
    assert response.status_code == 200
    counts = Counts()
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            counts[sample.name] = counts.get(sample.name, 0) + sample.value
    return counts
