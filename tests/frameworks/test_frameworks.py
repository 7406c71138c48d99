"""Agent frameworks as callers: the examples for them, run as they say, against a real server with the real model."""

import ast
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.frameworks.scripts import FOLDER, run

pytestmark = pytest.mark.slow

STREAMING = ("fastmcp_client", "google_adk_workflow", "langchain_tools", "llama_index_tools", "pydantic_ai_tools")
WITHOUT_PROGRESS = ("autogen_workbench", "openai_agents_tools", "smolagents_tools")
NAMES = (*STREAMING, *WITHOUT_PROGRESS, "local_agent")

QUESTION = "Why is the sky blue?"


def structured(printed: str) -> dict[str, Any]:
    """The structured content in the object that a framework returns."""
    (result,) = [ast.literal_eval(line) for line in printed.splitlines() if line.startswith("{")]
    return result.get("structured_content") or result.get("structuredContent") or result


def test_every_example_for_a_framework_is_run_by_a_test() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == {f"{name}.py" for name in NAMES}


@pytest.mark.parametrize("name", STREAMING)
def test_tokens_arrive_before_the_result_does_and_make_up_its_text(base_url: str, name: str) -> None:
    heard = run(name, f"{base_url}/mcp", QUESTION)
    assert heard.status == 0, heard.err
    text = structured(heard.err)["text"]
    assert heard.out == text + "\n"
    assert len(heard.first) < len(text)


def predicted(base_url: str) -> float:
    """The number of tokens that the server has computed since it began."""
    families = text_string_to_metric_families(httpx2.get(f"{base_url}/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == "llamacpp:tokens_predicted_total")


@pytest.mark.parametrize("name", WITHOUT_PROGRESS)
def test_a_framework_that_shows_no_progress_has_the_text(base_url: str, name: str) -> None:
    before = predicted(base_url)
    heard = run(name, f"{base_url}/mcp", QUESTION)
    assert heard.status == 0, heard.err
    assert predicted(base_url) > before + 1
    text = structured(heard.out)["text"] if heard.out.startswith("{") else heard.out
    assert len(text.split()) > 1


def test_an_agent_calls_a_tool_of_the_server_that_is_its_model_and_answers_with_the_outcome(base_url: str) -> None:
    heard = run("local_agent", base_url, "How many tokens are in 'Once upon a time there was a cat'?")
    assert heard.status == 0, heard.err
    _, call, outcome, answer = heard.err.splitlines()
    assert """'{"text": "Once upon a time there was a cat"}'""" in call
    assert "'tokens': 8" in outcome
    assert '{"tokens": 8}' in answer
    assert heard.out == "tokens=8\n"
