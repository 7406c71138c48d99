"""Calls that ask for an answer that cannot be had: each is told why before a token is computed."""

import re
from collections.abc import AsyncGenerator

import pytest

from mcp_llama.server.progress import PHASE_KEY
from tests.server.bad_answers import BAD_FORMATS, BAD_TOOLS, LONG_ANSWERS
from tests.server.chats import TEMPLATE, USER
from tests.server.client import Era, text_of
from tests.server.scene import Scene
from tests.server.serving import ERAS, Door, Opened, opened

BAD = {**BAD_FORMATS, **BAD_TOOLS}
MACHINERY = r"pydantic|Error executing|Traceback|validation error|function-before|literal\[|constrained|<class|\n"
FAULTS = {
    "regex": {"regex": "(a"},
    "GBNF": {"grammar": 'root ::= ("a"'},
    "Lark": {"grammar": 'start: ("a"'},
    "unknown rule": {"grammar": "root ::= other"},
}


@pytest.fixture(scope="module", params=ERAS)
async def server(request: pytest.FixtureRequest) -> AsyncGenerator[Opened]:
    era: Era = request.param
    async with opened(Door("http", era), Scene(scripts={None: "fine"}, chat_template=TEMPLATE)) as server:
        yield server


@pytest.mark.parametrize("name", BAD)
async def test_a_wish_that_cannot_be_kept_is_refused_before_any_token(server: Opened, name: str) -> None:
    tool, arguments, expected = BAD[name]
    before = await server.stage.decodes()
    call = await server.client.call(tool, dict(arguments))
    assert call.result.is_error
    assert text_of(call.result) == expected
    assert not re.search(MACHINERY, expected)
    assert call.result.structured_content is None
    assert await server.stage.decodes() == before
    assert all("message" not in one and one["_meta"][PHASE_KEY] != "decode" for one in call.notifications)
    assert (await server.client.call("chat", {"messages": USER, "max_tokens": 9})).text == "fine"


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("tool", ["generate", "chat"])
async def test_an_expression_or_grammar_that_does_not_compile_is_told_by_its_kind(
    server: Opened, tool: str, name: str
) -> None:
    asked = {"prompt": "x"} if tool == "generate" else {"messages": USER}
    before = await server.stage.decodes()
    call = await server.client.call(tool, {**asked, **FAULTS[name]})
    assert call.result.is_error
    subject = "The regular expression" if "regex" in FAULTS[name] else "The grammar"
    assert text_of(call.result).startswith(f"{subject} cannot be enforced: ")
    assert not re.search(MACHINERY, text_of(call.result))
    assert await server.stage.decodes() == before


@pytest.mark.parametrize("name", LONG_ANSWERS)
async def test_an_error_about_an_answer_does_not_echo_a_long_input(server: Opened, name: str) -> None:
    call = await server.client.call("chat", {"messages": USER, **LONG_ANSWERS[name]})
    assert call.result.is_error
    assert len(text_of(call.result)) < 600
    assert not re.search(MACHINERY, text_of(call.result))
