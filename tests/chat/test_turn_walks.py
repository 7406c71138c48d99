"""Random answers that a grammar allows: the parser sees in them what the grammar has promised."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator

from mcp_llama.api import OutputFormat, Tool
from mcp_llama.chat.marks import CallSyntax
from mcp_llama.errors import ConstraintError
from tests.chat.answers import Answer, answer_texts, cut, each_syntax, read
from tests.chat.grammars import ADD, PERSON, SUB, Choice, Reasoning, made
from tests.chat.walks import CONSTRAINTS, forced, is_free, longest, may_end, walk
from tests.engine.schemas import schemas

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
each_reasoning = pytest.mark.parametrize("reasoning", ["none", "open", "possible"])


def tool_sets() -> SearchStrategy[tuple[Tool, ...]]:
    names = st.lists(st.sampled_from(["sub", "a", "ab", "a-b", "name", "x.y:z/1"]), unique=True, max_size=3)
    simple = st.sampled_from([dict(ADD.parameters), {}, {"type": "object"}, {"required": ["q"]}])
    parameters = simple | schemas().map(lambda schema: {**schema, "type": "object"})

    def tools(found: list[str]) -> SearchStrategy[tuple[Tool, ...]]:
        return st.tuples(
            *(st.builds(Tool, name=st.just(name), parameters=parameters, strict=st.just(True)) for name in found)
        )

    return names.map(lambda found: ["sub", *(name for name in found if name != "sub")]).flatmap(tools)


def check_arguments(tool: Tool, arguments: str) -> None:
    value = json.loads(arguments)
    assert isinstance(value, dict)
    validator: Any = Draft202012Validator(dict(tool.parameters))
    validator.validate(value)


@pytest.mark.parametrize("choice", ["auto", "required", "sub"])
@each_syntax
@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=SLOW)
@given(
    tools=tool_sets(),
    parallel=st.booleans(),
    content=st.sampled_from([None, PERSON, OutputFormat("json_object")]),
    reasoning=st.sampled_from(["none", "open", "possible"]),
    seed=st.integers(0, 2**32),
)
def test_every_answer_is_read_as_calls_of_the_given_tools_or_as_content(
    syntax: CallSyntax,
    choice: Choice,
    tools: tuple[Tool, ...],
    parallel: bool,
    content: OutputFormat | None,
    reasoning: Reasoning,
    seed: int,
) -> None:
    try:
        grammar, parser = made(syntax, *tools, choice=choice, parallel=parallel, content=content, reasoning=reasoning)
        grammar.compile(CONSTRAINTS)
    except ConstraintError:
        assume(False)
        raise
    text = walk(grammar, seed)
    assume(text is not None)
    assert text is not None
    answer = read(parser, cut(text, random.Random(seed)))
    known = {tool.name: tool for tool in tools}
    for name, arguments in answer.calls:
        check_arguments(known[name], arguments)
    assert parser.has_calls == bool(answer.calls)
    assert parallel or len(answer.calls) <= 1
    if choice != "auto":
        assert answer.calls
        assert not answer.text
    if choice == "sub":
        assert {name for name, _ in answer.calls} == {"sub"}
    if content is not None and not answer.calls:
        value = json.loads(answer.text)
        assert isinstance(value, dict)
        assert content != PERSON or value.keys() == {"name", "age"}


@each_reasoning
@each_syntax
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_the_parser_sees_calls_where_the_grammar_has_begun_them(
    syntax: CallSyntax, reasoning: Reasoning, data: st.DataObject, seed: int
) -> None:
    grammar, parser = made(syntax, ADD, SUB, reasoning=reasoning)
    constraint = grammar.compile(CONSTRAINTS)
    text = longest(constraint, data.draw(answer_texts(syntax)))
    is_calling = not is_free(constraint)
    # The parser waits for the whole head, which the grammar forces after its trigger.
    text += forced(constraint)
    answer = Answer()
    for piece in cut(text, random.Random(seed)):
        answer.add(parser.push(piece))
    assert parser.is_calling == is_calling
    if may_end(constraint):
        answer.add(parser.flush())
        assert parser.has_calls == bool(answer.calls) == is_calling
