"""What the grammar of an answer promises, and that the parser sees the same in an answer as the grammar."""

import json
import random
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator

from mcp_llama.api import OutputFormat, Tool
from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.marks import CallSyntax, ReasoningMarks
from mcp_llama.chat.parser import AnswerParser
from mcp_llama.chat.turn_grammar import TurnRules, turn_grammar
from mcp_llama.engine.grammar import Grammar, format_part
from mcp_llama.errors import ConstraintError
from tests.chat.answers import SYNTAXES, THINK, Answer, answer_texts, cut, read, written
from tests.chat.walks import CONSTRAINTS, accepts, forced, is_free, longest, may_end, walk
from tests.engine.schemas import schemas

SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
Choice = Literal["auto", "required", "sub"]
Reasoning = Literal["none", "open", "possible"]

ADD = Tool(name="add", parameters={"properties": {"n": {"type": "integer"}}, "additionalProperties": False})
SUB = Tool(name="sub")
PERSON = OutputFormat(
    "json_schema",
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    },
)

each_syntax = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
each_reasoning = pytest.mark.parametrize("reasoning", ["none", "open", "possible"])


def made(
    syntax: CallSyntax,
    *tools: Tool,
    choice: Choice = "auto",
    parallel: bool = True,
    content: OutputFormat | None = None,
    reasoning: Reasoning = "none",
) -> tuple[Grammar, AnswerParser]:
    """The grammar of an answer, and a parser for it."""
    must_call = choice != "auto"
    called = [tool for tool in tools if choice in ("auto", "required", tool.name)]
    rules = TurnRules(
        syntax=syntax,
        tools=called,
        must_call=must_call,
        parallel=parallel,
        content=None if content is None else format_part(content),
        marks=THINK,
        reasons=reasoning == "open",
        may_reason=reasoning == "possible",
    )
    grammar = turn_grammar(rules)
    assert grammar is not None
    beside = "nothing" if must_call else "text" if content is None else "format"
    start = CallStart(syntax, tuple(tool.name for tool in called), beside)
    marks = None if reasoning == "none" else THINK
    return grammar, AnswerParser(marks, start, reasons=reasoning == "open")


def reasoned(reasoning: Reasoning, text: str = "hm") -> str:
    return {"none": "", "open": f"{text}</think>\n\n", "possible": f"<think>{text}</think>\n\n"}[reasoning]


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


@each_reasoning
@each_syntax
@settings(max_examples=20, derandomize=True, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=20), end=st.sampled_from(["", "head", "words"]))
def test_text_without_a_trigger_is_free(syntax: CallSyntax, reasoning: Reasoning, text: str, end: str) -> None:
    grammar, parser = made(syntax, ADD, SUB, reasoning=reasoning)
    text = "." + text + {"": "", "head": syntax.trigger[:-1], "words": " I could <call a tool>: {"}[end]
    whole = reasoned(reasoning) + text
    assert accepts(grammar, whole)
    assert read(parser, [whole]).text == text


@each_reasoning
@each_syntax
def test_an_answer_may_be_empty_beside_calls(syntax: CallSyntax, reasoning: Reasoning) -> None:
    grammar, _ = made(syntax, ADD, reasoning=reasoning)
    assert accepts(grammar, reasoned(reasoning))


@each_syntax
def test_text_that_begins_like_a_head_is_free(syntax: CallSyntax) -> None:
    grammar, parser = made(syntax, ADD)
    text = syntax.trigger[: len(syntax.trigger) // 2] + " is how I would begin."
    assert accepts(grammar, text)
    assert read(parser, [text]).text == text


@each_syntax
def test_behind_the_head_only_the_tools_may_follow(syntax: CallSyntax) -> None:
    grammar, _ = made(syntax, ADD, SUB)
    assert accepts(grammar, written(syntax, ("add", '{"n": 1}')))
    assert accepts(grammar, written(syntax, ("sub", "{}")))
    assert not accepts(grammar, written(syntax, ("mul", "{}")))
    assert not accepts(grammar, written(syntax, ("add", '{"n": "1"}')))
    assert not accepts(grammar, written(syntax, ("add", '{"n": 1}')) + " And so on.")
    assert not accepts(grammar, syntax.head)


@each_syntax
def test_text_may_come_before_calls_where_the_syntax_has_a_trigger(syntax: CallSyntax) -> None:
    grammar, parser = made(syntax, ADD)
    calls = written(syntax, ("add", '{"n": 1}'))
    text = "Let me add.\n" + calls
    assert accepts(grammar, text)
    if syntax.anywhere:
        assert read(parser, [text]) == Answer(text="Let me add.\n", calls=[("add", '{"n": 1}')])
    else:
        assert read(parser, [text]) == Answer(text=text)


@each_reasoning
@each_syntax
def test_reasoning_may_tell_of_calls_without_making_any(syntax: CallSyntax, reasoning: Reasoning) -> None:
    if reasoning == "none":
        return
    grammar, parser = made(syntax, ADD, reasoning=reasoning)
    told = written(syntax, ("mul", "5")) + " would be wrong"
    text = reasoned(reasoning, told) + "No."
    assert accepts(grammar, text)
    assert read(parser, [text]) == Answer(reasoning=told, text="No.")


@pytest.mark.parametrize("choice", ["auto", "required", "add"])
@each_reasoning
@each_syntax
def test_calls_may_follow_reasoning(
    syntax: CallSyntax, reasoning: Reasoning, choice: Literal["auto", "required"]
) -> None:
    grammar, parser = made(syntax, ADD, choice=choice, reasoning=reasoning)
    text = reasoned(reasoning) + written(syntax, ("add", "{}"))
    assert accepts(grammar, text)
    assert read(parser, [text]) == Answer(reasoning="" if reasoning == "none" else "hm", calls=[("add", "{}")])


@each_syntax
def test_a_required_call_leaves_no_room_for_text(syntax: CallSyntax) -> None:
    for choice in ("required", "sub"):
        grammar, _ = made(syntax, ADD, SUB, choice=choice, content=PERSON)
        assert not accepts(grammar, "")
        assert not accepts(grammar, "text " + written(syntax, ("sub", "{}")))
        assert not accepts(grammar, '{"name": "Bob", "age": 3}')
        assert accepts(grammar, written(syntax, ("sub", "{}")))
        assert accepts(grammar, written(syntax, ("add", "{}"))) == (choice == "required")


@each_syntax
def test_several_calls_are_allowed_where_they_may_be_parallel(syntax: CallSyntax) -> None:
    two = written(syntax, ("add", "{}"), ("sub", "{}"))
    assert accepts(made(syntax, ADD, SUB)[0], two) == bool(syntax.separator)
    assert not accepts(made(syntax, ADD, SUB, parallel=False)[0], two)


def test_an_answer_holds_at_most_32_calls() -> None:
    grammar, parser = made(SYNTAXES["hermes"], ADD)
    text = written(SYNTAXES["hermes"], *[("add", "{}")] * 32)
    assert accepts(grammar, text)
    assert read(parser, [text]).calls == [("add", "{}")] * 32
    assert not accepts(grammar, written(SYNTAXES["hermes"], *[("add", "{}")] * 33))


@pytest.mark.parametrize("name", ["Bob", "ad", "additional", ""])
@each_syntax
def test_json_that_begins_like_a_call_is_content(syntax: CallSyntax, name: str) -> None:
    grammar, parser = made(syntax, ADD, SUB, content=PERSON)
    person = f'{{"name": "{name}", "age": 3}}'
    assert accepts(grammar, person)
    assert read(parser, [person]) == Answer(text=person)
    assert not parser.is_calling


def test_json_that_goes_on_like_a_call_of_a_tool_becomes_one() -> None:
    grammar, parser = made(SYNTAXES["llama"], ADD, content=OutputFormat("json_object"))
    assert accepts(grammar, '{"name": "add"}')
    assert not accepts(grammar, '{"name": "add", "age": 3}')
    assert not accepts(grammar, '{"name": "add", "parameters": {"n": "1"}}')
    assert read(parser, ['{"name": "add", "parameters": {}}']) == Answer(calls=[("add", "{}")])


@each_syntax
def test_beside_a_format_calls_stay_possible(syntax: CallSyntax) -> None:
    grammar, parser = made(syntax, ADD, SUB, content=PERSON)
    text = written(syntax, ("add", '{"n": 1}'))
    assert accepts(grammar, text)
    assert read(parser, list(text)) == Answer(calls=[("add", '{"n": 1}')])
    assert not accepts(grammar, "Free text.")


@each_syntax
def test_content_may_hold_what_begins_calls_elsewhere(syntax: CallSyntax) -> None:
    form = OutputFormat("json_schema", {"type": "array", "items": {"type": "string"}})
    grammar, parser = made(syntax, ADD, content=form)
    text = json.dumps([syntax.head, written(syntax, ("add", "{}"))])
    assert accepts(grammar, text)
    assert read(parser, [text]) == Answer(text=text)


@pytest.mark.parametrize("form", [OutputFormat("json_object"), OutputFormat("regex", "[a-z]{1,3}")])
@each_syntax
def test_formats_of_any_kind_may_be_beside_calls(syntax: CallSyntax, form: OutputFormat) -> None:
    grammar, _ = made(syntax, ADD, content=form)
    assert accepts(grammar, '{"a": [1]}' if form.kind == "json_object" else "abc")
    assert not accepts(grammar, "free text")
    assert accepts(grammar, written(syntax, ("add", '{"n": 1}')))


@each_syntax
def test_a_call_behind_white_space_is_one(syntax: CallSyntax) -> None:
    for space in ("\n", "\t \r\n", "\n" * 40):
        grammar, parser = made(syntax, ADD)
        text = space + written(syntax, ("add", "{}"))
        assert accepts(grammar, text)
        assert read(parser, [text]) == Answer(calls=[("add", "{}")])


def test_a_head_of_json_may_have_some_white_space_in_it() -> None:
    for syntax in (SYNTAXES["llama"], SYNTAXES["generic"]):
        grammar, parser = made(syntax, ADD)
        text = written(syntax, ("add", "{}"))
        spaced = text.replace('{"name": "', '{\n  "name" : "', 1)
        assert accepts(grammar, spaced)
        assert read(parser, list(spaced)).calls == [("add", "{}")]


def test_the_tag_of_llama_may_stand_before_the_head() -> None:
    for space in ("", " ", "\n\n"):
        grammar, parser = made(SYNTAXES["llama"], ADD)
        text = "<|python_tag|>" + space + written(SYNTAXES["llama"], ("add", "{}"))
        assert accepts(grammar, text)
        assert read(parser, [text]) == Answer(calls=[("add", "{}")])


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"type": ["object", "null"]},
        {"properties": {"n": {"type": "integer"}}},
        {"description": "anything"},
        {"anyOf": [{"type": "object"}, {"type": "string"}]},
        {"$ref": "#/$defs/all", "$defs": {"all": {}}},
    ],
)
def test_arguments_are_always_an_object(parameters: Mapping[str, object]) -> None:
    grammar, _ = made(SYNTAXES["generic"], Tool(name="add", parameters=parameters), choice="required")
    assert accepts(grammar, written(SYNTAXES["generic"], ("add", "{}")))
    for other in ("null", "5", '"s"', "[]", "true"):
        assert not accepts(grammar, written(SYNTAXES["generic"], ("add", other)))


def test_a_tool_without_parameters_takes_none() -> None:
    grammar, _ = made(SYNTAXES["generic"], SUB, choice="required")
    assert not accepts(grammar, written(SYNTAXES["generic"], ("sub", '{"n": 1}')))


@pytest.mark.parametrize("kind", ["string", ["null", "array"], 5])
def test_a_tool_whose_arguments_are_no_object_is_refused_by_name(kind: object) -> None:
    with pytest.raises(ConstraintError, match=r"^The schema of tool 'add' cannot be enforced.*keyword 'type'"):
        made(SYNTAXES["hermes"], Tool(name="add", parameters={"type": kind}))


def test_what_a_schema_asks_for_in_vain_is_told_or_refused_if_strict() -> None:
    parameters = {"type": "object", "properties": {"n": {"type": "array", "uniqueItems": True}}}
    grammar, _ = made(SYNTAXES["hermes"], Tool(name="add", parameters=parameters))
    (note,) = grammar.relaxed
    assert note.startswith("The schema of tool 'add': 'uniqueItems' at '/properties/n' is not enforced")
    with pytest.raises(ConstraintError, match=r"^The schema of tool 'add' cannot be enforced at '/properties/n'"):
        made(SYNTAXES["hermes"], Tool(name="add", parameters=parameters, strict=True))


def test_an_answer_without_tools_and_format_is_free() -> None:
    assert turn_grammar(TurnRules(marks=THINK, reasons=True)) is None
    assert turn_grammar(TurnRules(syntax=SYNTAXES["hermes"])) is None


@each_reasoning
def test_a_format_holds_behind_the_reasoning(reasoning: Reasoning) -> None:
    rules = TurnRules(
        content=format_part(PERSON), marks=THINK, reasons=reasoning == "open", may_reason=reasoning == "possible"
    )
    grammar = turn_grammar(rules)
    assert grammar is not None
    assert accepts(grammar, reasoned(reasoning) + '{"name": "Bob", "age": 3}')
    assert not accepts(grammar, reasoned(reasoning) + "Bob")
    assert accepts(grammar, '{"name": "Bob", "age": 3}') == (reasoning != "open")


@each_reasoning
def test_reasoning_needs_to_end(reasoning: Reasoning) -> None:
    grammar, _ = made(SYNTAXES["hermes"], ADD, reasoning=reasoning)
    assert accepts(grammar, "<think>hm") == (reasoning == "none")


def test_marks_with_all_kinds_of_characters_are_taken_literally() -> None:
    marks = ReasoningMarks("<|a.b*/[c]+(d)\\e^$-&#~ {2}\n|>", "<|/end.*|>")
    grammar = turn_grammar(TurnRules(syntax=SYNTAXES["hermes"], tools=[ADD], marks=marks, may_reason=True))
    assert grammar is not None
    text = f"{marks.start}<tool_call>{marks.end}done"
    assert accepts(grammar, text)
    assert not accepts(grammar, f"{marks.start}{marks.end[:-1]}")
