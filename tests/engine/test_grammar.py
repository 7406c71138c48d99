import re
import subprocess
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from mcp_llama.api import FormatKind, OutputFormat
from mcp_llama.backends.grammar_thread import GrammarThread
from mcp_llama.engine.constraint import Constraints
from mcp_llama.engine.grammar import (
    MAX_GRAMMAR,
    Grammar,
    Part,
    format_part,
    schema_part,
    whole_text,
)
from mcp_llama.engine.lark import MAX_GBNF_RULES, MAX_NESTING
from mcp_llama.errors import ConstraintError
from tests.engine.constraining import compiled, fits, tokens
from tests.engine.matching import TOKENIZER

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("kind", "definition", "good", "bad"),
    [
        ("json_schema", SCHEMA, '{"a": 1}', '{"a": "1"}'),
        ("json_schema", {"enum": ["x", 2, None]}, "null", "3"),
        ("json_object", None, '{"anything": [1, {"b": null}]}', "[1]"),
        ("regex", "[a-c]{2}", "ab", "abc"),
        ("regex", "a/b|é+", "éé", "a"),
        ("regex", "a/b|é+", "a/b", "a\\/b"),
        ("regex", "a\nb", "a\nb", "a b"),
        ("regex", "a.c", "abc", "a\nc"),
        ("regex", "(?s:a.c)", "a\nc", "ac"),
        ("regex", '"@x"', '"@x"', "@x"),
        ("gbnf", 'root ::= "x" [0-9]+ | word\nword ::= [a-z]{2,3}', "x12", "x"),
        ("gbnf", '# a comment\nroot ::= ("a" | "b")* "\\n"', "ab\n", "ab"),
        ("gbnf", 'root ::= (digits "=" digits "\\n")+\ndigits ::= [0-9]+ ws\nws ::= [ \\n]*', "1=2\n", "1="),
        ("gbnf", 'root ::= a-b A-B-c\na-b ::= "x"\nA-B-c ::= "Y" [A-Z]', "xYZ", "xy"),
        ("lark", 'start: "x" INT\nINT: /[0-9]+/', "x12", "x"),
        ("lark", 'start: %json {"type": "boolean"}', "true", "1"),
    ],
)
def test_each_kind_of_format_takes_what_is_of_it_and_no_more(
    kind: FormatKind, definition: object, good: str, bad: str
) -> None:
    assert fits(kind, definition, good)
    assert not fits(kind, definition, bad)


@pytest.mark.parametrize(
    ("kind", "definition", "reason"),
    [
        ("regex", "(a", "unclosed group"),
        ("regex", "a{5,2}", "the start must be <= the end"),
        ("regex", "(?=a)b", "lookarounds"),
        ("regex", "(a)\\1", "back references are not supported"),
        ("regex", "^a\\b", "word boundaries"),
        ("regex", "x" * 3000 + "(", "unclosed group"),
        ("regex", "(" * 3000 + ")" * 3000, "nest"),
        ("gbnf", 'start ::= "a"', "No 'root' rule found"),
        ("gbnf", "root ::= other", "Rule 'other' not found"),
        ("gbnf", 'root ::= "a', "Unexpected end of input at line 1"),
        ("gbnf", 'root = "a"', "Expected ::="),
        ("gbnf", "root ::= [z-a]", "the start must be <= the end"),
        ("gbnf", 'root ::= "a"{3,1}', "range end must be >= start"),
        ("gbnf", "   ", "No 'root' rule found"),
        ("lark", 'begin: "a"', "no start rule found"),
        ("lark", "start: nothing", 'unknown name: "nothing"'),
        ("lark", 'start: "a', "1(10)"),
        ("lark", "start: /(/", "unclosed group"),
        ("lark", 'start: T\nT: T "a"', "circular reference"),
        ("lark", 'start: %json {"type": "nope"}', "Invalid type: nope"),
        ("lark", "start: " + '"a" ' * 9000 + "(", ""),
        ("lark", "start: @other", "unknown grammar @other"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_bad_expression_or_grammar_is_refused_with_one_line_that_says_why(
    kind: FormatKind, definition: str, reason: str
) -> None:
    with pytest.raises(ConstraintError) as raised:
        compiled(kind, definition)
    message = str(raised.value)
    assert message.startswith("The regular expression" if kind == "regex" else "The grammar")
    assert reason in message
    assert "\n" not in message
    assert len(message) < 500
    assert (raised.value.pointer, raised.value.keyword) == (None, None)


@pytest.mark.parametrize("kind", ["regex", "gbnf", "lark"])
@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (None, "must be a text"),
        ({"type": "object"}, "must be a text"),
        ("", "not empty"),
        ("a" * (MAX_GRAMMAR + 1), f"has {MAX_GRAMMAR + 1:,} characters; at most {MAX_GRAMMAR:,}"),
        ("a\ud800", "surrogate"),
    ],
    ids=["none", "object", "empty", "long", "surrogate"],
)
def test_what_is_no_text_or_too_long_is_refused(kind: FormatKind, definition: object, reason: str) -> None:
    with pytest.raises(ConstraintError, match=re.escape(reason)):
        format_part(OutputFormat(kind, definition))


def nested(depth: int, inner: str) -> str:
    return '("x" ' * depth + inner + ")" * depth


def chain(rules: int, depth: int) -> str:
    """Rules that each lead to the next, within brackets."""
    names = [f"r{index:x}" for index in range(rules)]
    lines = [f"{name}: {nested(depth, following)}" for name, following in pairwise(names)]
    return "\n".join([f"start: {names[0]}", *lines, f'{names[-1]}: "y"'])


# llguidance overflows its stack, and ends the process, where one of these is let through.
@pytest.mark.parametrize("lark", [chain(5_000, 0), chain(200, 30)], ids=["rules", "brackets"])
def test_a_grammar_that_nests_too_deeply_for_llguidance_never_reaches_it(lark: str) -> None:
    with pytest.raises(ConstraintError, match=f"at most {MAX_NESTING:,}"):
        format_part(OutputFormat("lark", lark))


async def test_a_grammar_that_nests_as_deeply_as_it_may_compiles() -> None:
    thread = GrammarThread()
    # Shorter names than `chain` gives would not fit more rules.
    part = format_part(OutputFormat("lark", chain(MAX_NESTING - 1_000, 0)))
    state = await thread.run(partial(whole_text(part).compile, Constraints(TOKENIZER)))
    thread.close()
    assert state.forced() == tokens("y")


def test_many_flat_rules_and_brackets_in_texts_are_not_nesting() -> None:
    rules = "\n".join(f'r{index}: ("(((((" | /[(]{{1,2}}/) // ((((((((' for index in range(1_000))
    choice = " | ".join(f"r{index}" for index in range(1_000))
    format_part(OutputFormat("lark", f"start: {choice}\n{rules}"))


@pytest.mark.parametrize("gbnf", ['root ::= {}"a"{}', 'root ::= [a{}] "{}"'], ids=["brackets", "literals"])
def test_gbnf_that_nests_deeply_is_refused_or_compiles(gbnf: str) -> None:
    definition = gbnf.format("(" * 20_000, ")" * 20_000)
    if gbnf.startswith("root ::= {"):
        with pytest.raises(ConstraintError, match="nested too deeply"):
            compiled("gbnf", definition)
    else:
        compiled("gbnf", definition)


def test_gbnf_of_too_many_rules_is_refused_before_its_conversion() -> None:
    rules = "\n".join(f'r{index} ::= "x" r{index + 1}' for index in range(MAX_GBNF_RULES))
    with pytest.raises(ConstraintError, match=f"more than {MAX_GBNF_RULES:,} rules"):
        format_part(OutputFormat("gbnf", f"root ::= r0\n{rules}"))


def test_the_error_of_a_schema_names_the_place_and_the_keyword() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}
    with pytest.raises(ConstraintError) as raised:
        compiled("json_schema", schema)
    error = raised.value
    assert (error.subject, error.pointer, error.keyword) == ("The JSON schema", "/properties/a", "pattern")


def test_the_error_of_a_schema_that_only_llguidance_refuses_names_its_part_and_place() -> None:
    overlapping = {"type": "object", "properties": {"b": {"oneOf": [{"type": "integer"}, {"minimum": 3}]}}}
    parts = {"first": schema_part(SCHEMA, "The first"), "second": schema_part(overlapping, "The second")}
    with pytest.raises(ConstraintError) as raised:
        Grammar("start: @first | @second", parts).compile(Constraints(TOKENIZER))
    error = raised.value
    assert (error.subject, error.pointer, error.keyword) == ("The second", "/properties/b", "oneOf")


def test_a_fault_of_no_part_is_one_of_their_combination() -> None:
    with pytest.raises(ConstraintError, match="The combination of tools and format"):
        Grammar("start: @missing", {"here": schema_part(SCHEMA, "The schema")}).compile(Constraints(TOKENIZER))


def test_what_is_not_enforced_is_told_for_all_parts() -> None:
    parts = {name: Part(name, {}, relaxed=(f"{name} is loose",)) for name in ("a", "b")}
    assert Grammar("start: @a @b", parts).relaxed == ("a is loose", "b is loose")
    assert whole_text(schema_part(SCHEMA, "The schema")).relaxed == ()


EXAMPLES = {
    "arithmetic": "a+2*(b-3)=7\n",
    "c": "int main(){return 1;}",
    "chess": "1. e4 e5\n2. Nf3 Nc6\n",
    "english": "Hello, world!",
    "japanese": "こんにちは",
    "json": '{"a": [1, true, null, "é"]}',
    "json_arr": '[\n\n  1,\n\n  "b"]',
    "list": "- one\n- two\n",
}


@pytest.fixture(scope="module")
def grammars() -> Path:
    """The grammars that llama.cpp itself ships, where its sources have been unpacked to be built."""
    cache = Path(subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip())
    for folder in cache.glob("sdists-*/*/llama-cpp-python/*/*/src/vendor/llama.cpp/grammars"):
        return folder
    pytest.skip("uv keeps no unpacked sources of llama-cpp-python here")


@pytest.mark.parametrize("name", EXAMPLES)
def test_llama_cpps_own_grammars_convert_and_take_their_texts(grammars: Path, name: str) -> None:
    gbnf = (grammars / f"{name}.gbnf").read_text()
    assert fits("gbnf", gbnf, EXAMPLES[name])
    assert not fits("gbnf", gbnf, "\x01")


def test_no_grammar_of_llama_cpp_is_left_out(grammars: Path) -> None:
    assert {path.stem for path in grammars.glob("*.gbnf")} == set(EXAMPLES)


@pytest.mark.parametrize("lark", [f"start: {'/[a-z]*/ ' * 5_000}", "start: /((a{1000}){1000}){1000}/"])
def test_a_grammar_whose_steps_would_take_long_fails_at_once_or_at_its_first_step(lark: str) -> None:
    with pytest.raises(ConstraintError):
        whole_text(format_part(OutputFormat("lark", lark))).compile(Constraints(TOKENIZER)).allowed()
