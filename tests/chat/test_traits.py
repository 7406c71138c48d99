from dataclasses import replace
from pathlib import Path

import pytest

from mcp_llama.api import Message
from mcp_llama.chat.traits import TemplateTraits
from mcp_llama.errors import RequestError
from tests.chat.templates import answered, compiled, embedded_template, tool

CONTENT = "{% for m in messages %}{{ m.content }};{% endfor %}"
TOOLS = "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}"
PLAIN = TemplateTraits(system=True, results=True)
NATIVE = TemplateTraits(system=True, tools=True, arguments="object", results=True, parallel_calls=True)


def traits(*parts: str) -> TemplateTraits:
    return compiled("".join(parts)).traits


def turns(before: str = "", *, call: str = "", each: str = "m.tool_calls or []") -> str:
    """A template that writes `before` and the content of each message, and `call` for each call."""
    calls = "{% for c in " + each + " %}" + call + "{% endfor %}"
    return "{% for m in messages %}" + before + "{{ m.content }}" + calls + ";{% endfor %}"


def call(arguments: str) -> str:
    return "{{ c.function.name }}" + arguments


def test_a_template_that_only_shows_content_knows_no_tools() -> None:
    assert traits(CONTENT) == PLAIN


def test_the_embedded_template_knows_system_messages_and_no_tools(real_model_path: Path) -> None:
    assert embedded_template(real_model_path).traits == PLAIN


def test_a_template_that_shows_all_of_it_is_native() -> None:
    assert traits(TOOLS, turns(call=call("{{ c.function.arguments | tojson }}"))) == NATIVE


def test_a_template_that_never_works_has_no_traits() -> None:
    assert traits("{{ raise_exception('no') }}") == TemplateTraits()


def test_a_template_that_drops_the_system_message_knows_none() -> None:
    assert traits("{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}") == replace(
        PLAIN, system=False
    )


def test_a_template_that_refuses_the_system_message_knows_none() -> None:
    refusal = "{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    assert traits(turns(refusal)) == replace(PLAIN, system=False)


@pytest.mark.parametrize("shown", ["{{ tools[0].function.name }}", "{{ tools[0].function.parameters | tojson }}"])
def test_tools_without_their_name_or_their_parameters_are_not_shown(shown: str) -> None:
    assert traits("{% if tools %}" + shown + "{% endif %}", CONTENT) == PLAIN


@pytest.mark.parametrize(
    "shown",
    [
        "{{ c.function.arguments | tojson(indent=2) }}",
        "{{ c.function.arguments | tojson(separators=(',', ':')) }}",
        "{% for key, value in c.function.arguments.items() %}<{{ key }}>{{ value }}{% endfor %}",
        "{% if c.function.arguments is mapping %}{% for k, v in c.function.arguments | items %}{{ k }}:{{ v }}"
        "{% endfor %}{% else %}{{ c.function.arguments }}{% endif %}",
    ],
)
def test_arguments_are_given_as_a_mapping_where_the_template_can_write_it(shown: str) -> None:
    assert traits(turns(call=call(shown))).arguments == "object"


@pytest.mark.parametrize("shown", ["{{ c.function.arguments }}", "{{ ' ' + c.function.arguments }}"])
def test_arguments_are_given_as_text_where_a_mapping_would_not_become_json(shown: str) -> None:
    template = compiled(TOOLS + turns(call=call(shown)))
    assert template.traits == replace(NATIVE, arguments="text")
    assert '{"number": 7}' in template.render(answered())


@pytest.mark.parametrize(
    "shown",
    [
        "{{ c.function.name }}",
        "{{ c.function.arguments | tojson }}",
        "{{ c.function.name }}{{ c.function.arguments.keys() | join }}",
        "{{ c.function.name }}{{ c.function.arguments.values() | join }}",
        "{{ c.function.name }}{{ c.function.arguments | string | tojson }}",
        "{% if not m.content %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endif %}",
        "{% if m.content %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endif %}",
    ],
)
def test_calls_that_are_not_shown_whole_and_always_do_not_count(shown: str) -> None:
    found = traits(turns(call=shown))
    assert (found.arguments, found.parallel_calls) == (None, False)


def test_a_call_must_be_shown_beside_the_tools_where_those_are_shown() -> None:
    refusal = "{% if tools and m.tool_calls %}{{ raise_exception('no') }}{% endif %}"
    source = turns(refusal, call=call("{{ c.function.arguments | tojson }}"))
    assert traits(TOOLS, source) == replace(NATIVE, arguments=None, results=True, parallel_calls=False)
    assert traits(source) == replace(NATIVE, tools=False)


def test_a_template_that_drops_results_knows_none() -> None:
    shown = turns(call=call("{{ c.function.arguments | tojson }}")).replace("m in messages", "m in said")
    assert traits("{% set said = messages | rejectattr('role', 'equalto', 'tool') %}", shown) == replace(
        NATIVE, tools=False, results=False
    )


def test_results_are_shown_even_if_the_template_refuses_calls() -> None:
    refusal = "{% if m.tool_calls %}{{ raise_exception('no calls') }}{% endif %}"
    assert traits(turns(refusal)) == PLAIN


def test_results_may_need_the_call_that_they_answer() -> None:
    source = turns(
        "{% if m.role == 'tool' and not m_before.has %}{{ raise_exception('no call') }}{% endif %}"
        "{% if m.tool_calls %}{% set m_before.has = true %}{% endif %}",
        call=call("{{ c.function.arguments | tojson }}"),
    )
    assert traits("{% set m_before = namespace(has=false) %}", source) == replace(NATIVE, tools=False)


@pytest.mark.parametrize(
    "refusal",
    [
        "{% if m.tool_calls and m.tool_calls | length > 1 %}{{ raise_exception('one at a time') }}{% endif %}",
        "",
    ],
)
def test_a_template_that_shows_one_call_of_several_knows_no_parallel_calls(refusal: str) -> None:
    source = turns(refusal, call=call("{{ c.function.arguments | tojson }}"), each="(m.tool_calls or [])[:1]")
    assert traits(source) == replace(NATIVE, tools=False, parallel_calls=False)


@pytest.mark.parametrize("shown", ["{{ m.content[0].text }}", "{% for p in m.content %}{{ p.text }}{% endfor %}"])
def test_content_is_given_in_parts_where_only_those_are_shown(shown: str) -> None:
    template = compiled(
        TOOLS + turns(call=call("{{ c.function.arguments | tojson }}")).replace("{{ m.content }}", shown)
    )
    assert template.traits == replace(NATIVE, content_parts=True)
    assert template.render([Message(role="user", content="Why?")]) == "Why?;"
    assert "eight" in template.render(answered())


def test_content_is_given_as_text_where_both_are_shown() -> None:
    shown = "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}"
    assert traits(CONTENT.replace("{{ m.content }}", shown)) == PLAIN


def test_no_tools_are_an_empty_list_where_the_template_needs_one() -> None:
    template = compiled("{% for t in tools %}{{ t | tojson }}{% endfor %}" + CONTENT)
    assert template.traits == replace(PLAIN, tools=True, empty_tools=True)
    assert template.render([Message(role="user", content="Why?")]) == "Why?;"
    assert template.render([Message(role="user", content="Why?")], [tool()]).startswith('{"type": "function"')


def test_ids_are_short_where_the_template_demands_it_and_still_belong_together() -> None:
    demand = "{% for i in ids if i | length != 9 %}{{ raise_exception('nine') }}{% endfor %}"
    ids = "{% set ids = (m.tool_calls or [{'id': m.tool_call_id}]) | selectattr('id') | map(attribute='id') | list %}"
    template = compiled(turns(ids + demand + "{{ ids | join }}:", call=call("{{ c.function.arguments | tojson }}")))
    assert template.traits == replace(NATIVE, tools=False, short_ids=True)
    _, first, second, _ = template.render(answered()).split(";")
    assert first.split(":")[0] == second.split(":")[0].strip()
    assert first.split(":")[0].isalnum()


def test_an_id_that_is_short_already_is_kept() -> None:
    demand = "{% if m.tool_calls and m.tool_calls[0].id | length != 9 %}{{ raise_exception('nine') }}{% endif %}"
    template = compiled(turns(demand, call=call("{{ c.function.arguments | tojson }} {{ c.id }}")))
    user, assistant, _ = answered()
    kept = replace(assistant, tool_calls=(replace(assistant.tool_calls[0], id="Abcdef123"),))
    assert template.render([user, kept]).endswith(" Abcdef123;")


def test_ids_stay_as_they_are_where_the_template_does_not_mind() -> None:
    template = compiled(turns(call=call("{{ c.function.arguments | tojson }} {{ c.id }}")))
    assert "call_1" in template.render(answered())


def test_a_template_without_traits_still_says_what_it_refuses() -> None:
    with pytest.raises(RequestError, match="refuses these messages: never"):
        compiled("{{ raise_exception('never') }}").render(answered())


def test_the_traits_are_found_once() -> None:
    template = compiled(CONTENT)
    assert template.traits is template.traits
