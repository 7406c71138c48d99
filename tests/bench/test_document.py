import json
from dataclasses import asdict, fields

from pydantic import TypeAdapter

from mcp_llama.bench import document as module
from mcp_llama.bench.document import document
from mcp_llama.bench.record import Machine, Measurement, Report, Subject
from mcp_llama.bench.summary import Row, summarise
from tests.bench.rounds import report, turn

TURNS = (turn("raw", 100), turn("v1", 80, cpu_s=0.25))
REPORT = report(*TURNS, failures=("v1 died: größer",))


def test_the_document_holds_the_report_and_its_rows() -> None:
    rows = summarise(TURNS)
    content = json.loads(document(REPORT, rows, ["mcp-llama", "bench"]))
    assert (content.pop("format"), content.pop("command")) == (1, ["mcp-llama", "bench"])
    assert TypeAdapter(tuple[Row, ...]).validate_python(content.pop("rows")) == rows
    assert TypeAdapter(Report).validate_python(content) == REPORT
    assert content["measurements"][0]["cpu_s"] is None


def test_the_keys_stay_as_they_are() -> None:
    content = json.loads(document(REPORT, summarise(TURNS), []))
    assert [*content] == ["format", "command", "machine", "subject", "measurements", "failures", "rows"]
    assert set(content["rows"][1]) == {
        "workload", "streams", "target", "rounds", "rate", "ratios", "seconds", "ttft", "itl", "cpu_us_per_token",
        "peak_memory", "prompt_tokens", "cached_tokens", "prompt_ttft", "freed", "cold_ttft",
    }  # fmt: skip
    assert content["rows"][1]["ratios"]["raw"].keys() == {"median", "low", "high"}
    assert content["rows"][1]["itl"] == asdict(TURNS[1])["itl"]


def test_the_docstring_names_every_key() -> None:
    names = ["command", *(field.name for part in (Report, Machine, Subject) for field in fields(part)), "rows"]
    assert [name for name in names if name not in str(module.__doc__)] == []
    assert Measurement.__name__ in str(module.__doc__)


def test_letters_stay_readable() -> None:
    assert "größer" in document(REPORT, (), [])
