"""Document: a report as JSON.

An object of these keys, which stay as they are while `format` is 1; times are seconds, sizes bytes:

    format        1
    command       the words of the command that repeats the run
    machine       cpu, cores, memory, system, python
    subject       model, description, sha256, size, n_ctx, n_slots, n_threads, build, versions (by distribution)
    measurements  one object a turn: the fields of record.Measurement
    failures      texts
    rows          one object for all rounds of a workload, number of streams and target: the fields of summary.Row

What is not known is null.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

from mcp_llama.bench.record import Report
from mcp_llama.bench.summary import Row

_FORMAT = 1


def document(report: Report, rows: Sequence[Row], command: Sequence[str]) -> str:
    """The text of the document, indented."""
    content = {
        "format": _FORMAT,
        "command": list(command),
        **asdict(report),
        "rows": [asdict(row) for row in rows],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
