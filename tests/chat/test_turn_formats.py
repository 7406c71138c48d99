"""Answers that have a format, with and without calls beside it."""

import json

import pytest

from mcp_llama.api import OutputFormat
from mcp_llama.chat.marks import CallSyntax
from mcp_llama.chat.turn_grammar import TurnRules, turn_grammar
from mcp_llama.engine.grammar import format_part
from tests.chat.answers import SYNTAXES, THINK, Answer, each_syntax, read, written
from tests.chat.grammars import ADD, PERSON, SUB, Reasoning, made, reasoned
from tests.chat.walks import accepts

each_reasoning = pytest.mark.parametrize("reasoning", ["none", "open", "possible"])


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


@pytest.mark.parametrize(("space", "fits"), [("\n" * 4, True), ("\n" * 5, False)])
def test_no_model_gets_lost_in_white_space_before_its_reasoning(space: str, fits: bool) -> None:
    grammar, _ = made(SYNTAXES["hermes"], content=PERSON, reasoning="possible")
    assert accepts(grammar, f'{space}{THINK.start}so{THINK.end}{{"name": "Bob", "age": 3}}') == fits
