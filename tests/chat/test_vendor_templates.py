"""Every chat template that llama.cpp keeps for its own tests, where its sources lie in uv's cache."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from mcp_llama.api import Message, Tool
from mcp_llama.chat.polyfill import describe_tools, plain_calls, single_calls
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.errors import RequestError, UnknownNameError
from tests.chat.templates import add, answered, compiled, tool

SYSTEM = Message(role="system", content="Be brief.")
USER = Message(role="user", content="seven and one")
REASONED = replace(answered()[1], content="Let me add.", reasoning="hm")

REFUSES_ALL = {"fireworks-ai-llama-3-firefunction-v2": "'functions' is undefined"}
REFUSES_SYSTEM = {"google-gemma-2-2b-it": "System role not supported"}
REFUSES_TOOLS = {"llama-cpp-deepseek-r1": "Object of type generator is not JSON serializable"}
REFUSES_UNDESCRIBED_PARAMETERS = {
    "CohereForAI-c4ai-command-r-plus-tool_use": "'dict object' has no attribute 'description'"
}
REFUSES_CALLS = {
    "Kimi-K2-Instruct": "access to attribute 'append' of 'list' object is unsafe",
    "Kimi-K2-Thinking": "access to attribute 'append' of 'list' object is unsafe",
    "google-gemma-2-2b-it": "Conversation roles must alternate",
}
REFUSES_SEVERAL_CALLS = {
    "meta-llama-Llama-3.1-8B-Instruct": "only supports single tool-calls at once",
    "meta-llama-Llama-3.2-3B-Instruct": "only supports single tool-calls at once",
    "meta-llama-Llama-3.3-70B-Instruct": "only supports single tool-calls at once",
}
HIDES_TOOLS = {
    "HuggingFaceTB-SmolLM3-3B",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "deepseek-ai-DeepSeek-V3.1",
    "google-gemma-2-2b-it",
    "llama-cpp-rwkv-world",
    "microsoft-Phi-3.5-mini-instruct",
}
HIDES_CALLS = {
    "HuggingFaceTB-SmolLM3-3B",
    "LFM2-8B-A1B",
    "LFM2.5-Instruct",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "ibm-granite-granite-3.3-2B-Instruct",
    "llama-cpp-deepseek-r1",
    "llama-cpp-rwkv-world",
    "microsoft-Phi-3.5-mini-instruct",
}
SHOWS_RESULTS_ALONE = {"Kimi-K2-Instruct", "Kimi-K2-Thinking"}
HIDES_RESULTS = {"llama-cpp-rwkv-world", "microsoft-Phi-3.5-mini-instruct"}
HIDES_THE_SECOND_CALL = {"GigaChat3-10B-A1.8B", "GigaChat3.1-10B-A1.8B", "openai-gpt-oss-120b"}
WANTS_TEXT = {"meetkai-functionary-medium-v3.2"}
WANTS_AN_EMPTY_LIST = {
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
}
WANTS_SHORT_IDS = {"Mistral-Small-3.2-24B-Instruct-2506", "mistralai-Mistral-Nemo-Instruct-2407"}


def find_templates() -> dict[str, Path]:
    """The files by the names of their models; the cache may hold the same sources many times."""
    uv = shutil.which("uv")
    if uv is None:
        return {}
    cache_dir = subprocess.run([uv, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    package = f"sdists-v*/pypi/llama-cpp-python/{version('llama-cpp-python')}"
    found = Path(cache_dir).glob(f"{package}/*/src/vendor/llama.cpp/models/templates/*.jinja")
    return {path.stem: path for path in sorted(found)}


TEMPLATES = find_templates()

pytestmark = pytest.mark.skipif(not TEMPLATES, reason="the sources of llama-cpp-python are not in uv's cache")
each_template = pytest.mark.parametrize("name", TEMPLATES or [""])


@cache
def template(name: str) -> ChatTemplate:
    return compiled(TEMPLATES[name].read_text(encoding="utf-8"))


def rendered(name: str, messages: list[Message], *refusals: dict[str, str], tools: Sequence[Tool] = ()) -> str | None:
    """The text, or None if the template refuses, which it must if it stands in `refusals`, in the words there."""
    reasons = [refusal[name] for refusal in (REFUSES_ALL, *refusals) if name in refusal]
    if not reasons:
        return template(name).render(messages, tools)
    with pytest.raises(RequestError) as caught:
        template(name).render(messages, tools)
    assert any(reason in str(caught.value) for reason in reasons)
    return None


def test_nearly_all_templates_render_tools_calls_and_results() -> None:
    native = [name for name in TEMPLATES if template(name).traits.tools and template(name).traits.arguments]
    assert len(TEMPLATES) >= 70
    assert len(native) >= 55


@each_template
def test_a_question_is_shown(name: str) -> None:
    text = rendered(name, [USER])
    assert text is None or USER.content in text


@each_template
def test_a_system_message_is_shown(name: str) -> None:
    text = rendered(name, [SYSTEM, USER], REFUSES_SYSTEM)
    assert text is None or (SYSTEM.content in text and USER.content in text)
    assert template(name).traits.system == (text is not None)


@each_template
def test_a_chat_of_several_turns_is_shown(name: str) -> None:
    text = rendered(name, [USER, Message(role="assistant", content="eight"), replace(USER, content="sure?")])
    assert text is None or (USER.content in text and "eight" in text and "sure?" in text)


@each_template
def test_tools_are_shown(name: str) -> None:
    text = rendered(name, [USER], REFUSES_TOOLS, tools=[tool()])
    shown = text is not None and "add" in text and "number" in text
    assert template(name).traits.tools == shown
    assert (text is not None and not shown) == (name in HIDES_TOOLS)


@each_template
def test_tools_need_no_description_and_no_parameters(name: str) -> None:
    bare = Tool(name="bare", parameters={"properties": {"number": {"type": "integer"}}})
    assert template(name).traits.tools <= (rendered(name, [USER], REFUSES_TOOLS, tools=[Tool(name="now")]) is not None)
    rendered(name, [USER], REFUSES_TOOLS, REFUSES_UNDESCRIBED_PARAMETERS, tools=[bare])


@each_template
@pytest.mark.parametrize("called", [answered()[1], REASONED], ids=["alone", "after-text-and-reasoning"])
def test_a_call_and_its_result_are_shown(name: str, called: Message) -> None:
    messages = [USER, called, answered()[2]]
    text = rendered(name, messages, REFUSES_CALLS)
    traits = template(name).traits
    arguments = None if text is None or name in HIDES_CALLS else "text" if name in WANTS_TEXT else "object"
    assert traits.arguments == arguments
    assert traits.results == (name in SHOWS_RESULTS_ALONE or (text is not None and name not in HIDES_RESULTS))
    if text is not None:
        assert USER.content in text
        assert arguments is None or ("add" in text and "number" in text and "7" in text)
        assert not traits.results or "eight" in text


@each_template
def test_a_whole_round_with_tools_is_shown_with_the_polyfill_for_what_the_template_lacks(name: str) -> None:
    traits = template(name).traits
    calls = traits.arguments is not None
    asked = [*answered(), Message(role="assistant", content="It is 8."), replace(USER, content="sure?")]
    messages = plain_calls(asked, calls=calls, results=calls and traits.results)
    if not traits.tools:
        messages = describe_tools(messages, [tool()], must_call=False, system=traits.system)
    text = rendered(name, messages, tools=[tool()] if traits.tools else [])
    if text is not None:
        for word in (USER.content, "add", "number", "7", "eight", "It is 8.", "sure?"):
            assert word in text


@each_template
def test_several_calls_are_shown_at_least_one_by_one(name: str) -> None:
    calls = (add("7"), add("8", call_id="call_2", name="subtract"))
    results = [Message(role="tool", content=f"is {call.id}", tool_call_id=call.id) for call in calls]
    messages = [USER, Message(role="assistant", tool_calls=calls), *results]
    traits = template(name).traits
    if traits.arguments is None:
        assert not traits.parallel_calls
        return
    assert traits.parallel_calls == (name not in {*REFUSES_SEVERAL_CALLS, *HIDES_THE_SECOND_CALL})
    text = rendered(name, messages, REFUSES_SEVERAL_CALLS)
    assert text is None or ("subtract" in text) == (name not in HIDES_THE_SECOND_CALL)
    text = template(name).render(single_calls(messages))
    for word in ("add", "7", "is call_1", "subtract", "8", "is call_2"):
        assert word in text


@each_template
def test_a_few_templates_want_their_values_in_another_form(name: str) -> None:
    traits = template(name).traits
    assert traits.empty_tools == (name in WANTS_AN_EMPTY_LIST)
    assert traits.short_ids == (name in WANTS_SHORT_IDS)
    assert not traits.content_parts


@each_template
def test_thinking_can_be_switched_where_the_template_has_the_switch(name: str) -> None:
    if "enable_thinking" in template(name).variables:
        assert template(name).render([USER], (), {"enable_thinking": False})
    else:
        with pytest.raises(UnknownNameError):
            template(name).render([USER], (), {"enable_thinking": False})
