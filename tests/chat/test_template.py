from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from mcp_llama.api import ChatRequest, Message, Role
from mcp_llama.chat.plan import ChatDefaults, render_chat
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.errors import RequestError, UnknownNameError
from tests.chat.templates import answered, compiled, embedded_template, tool

SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"


@pytest.fixture(scope="module")
def embedded(real_model_path: Path) -> ChatTemplate:
    return embedded_template(real_model_path)


def said(*turns: tuple[Role, str]) -> list[Message]:
    return [Message(role=role, content=content) for role, content in turns]


def render(source: str, *turns: tuple[Role, str]) -> str:
    return compiled(source).render(said(*(turns or (("user", "hi"),))))


def prompt_of(template: ChatTemplate, messages: Sequence[Message], **options: object) -> str:
    """The prompt of a chat, with the beginning of its answer."""
    return render_chat(ChatRequest(messages=tuple(messages), template_options=options), template, ChatDefaults())


def test_the_embedded_template_renders_a_question(embedded: ChatTemplate) -> None:
    assert embedded.render(said(("user", "Why?"))) == (
        f"{SYSTEM}<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_the_embedded_template_renders_all_three_roles(embedded: ChatTemplate) -> None:
    turns = said(("system", "Be brief."), ("user", "Why?"), ("assistant", "Because."), ("user", "Really?"))
    assert embedded.render(turns) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhy?<|im_end|>\n"
        "<|im_start|>assistant\nBecause.<|im_end|>\n"
        "<|im_start|>user\nReally?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("begun", ["Because the", "  spaces are kept  ", "", "line\n"])
def test_a_trailing_assistant_message_is_left_open_to_be_continued(embedded: ChatTemplate, begun: str) -> None:
    prompt = prompt_of(embedded, said(("user", "Why?"), ("assistant", begun)))
    assert prompt == f"{SYSTEM}<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n{begun}"


def test_an_assistant_message_before_the_last_is_closed(embedded: ChatTemplate) -> None:
    prompt = prompt_of(embedded, said(("user", "Why?"), ("assistant", "Because."), ("assistant", "And so")))
    assert prompt.endswith("<|im_start|>assistant\nBecause.<|im_end|>\n<|im_start|>assistant\nAnd so")


def test_text_that_looks_like_jinja_is_only_text() -> None:
    assert render("{{ messages[0].content }}", ("user", "{{ 7 * 7 }}{% raw %}")) == "{{ 7 * 7 }}{% raw %}"


def test_messages_may_not_be_empty(embedded: ChatTemplate) -> None:
    with pytest.raises(RequestError, match=r"^messages is empty\. Send at least one message\.$"):
        prompt_of(embedded, [])


def test_rendering_closes_a_trailing_assistant_message_and_asks_for_the_next(embedded: ChatTemplate) -> None:
    assert embedded.render(said(("user", "Why?"), ("assistant", "Because."))).endswith(
        "<|im_start|>assistant\nBecause.<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_prompt_without_a_trailing_assistant_message_is_what_is_rendered(embedded: ChatTemplate) -> None:
    messages = said(("user", "Why?"))
    assert prompt_of(embedded, messages) == embedded.render(messages)


def test_a_template_takes_tools_and_options() -> None:
    template = compiled("{{ tools[0].function.name }} {{ mood }}:")
    assert template.render(said(("user", "a")), [tool()], {"mood": "sad"}) == "add sad:"


def test_a_prompt_takes_options_wherever_the_assistant_is() -> None:
    template = compiled("{{ mood }}:")
    assert prompt_of(template, said(("user", "a")), mood="sad") == "sad:"
    assert prompt_of(template, said(("user", "a"), ("assistant", "b")), mood="sad") == "sad:b"


def test_calls_that_nobody_answered_cannot_be_continued() -> None:
    with pytest.raises(RequestError, match=r"calls tools: answer them with tool messages first\.$"):
        prompt_of(compiled("{{ 1 }}"), answered()[:2])


def test_what_a_template_refuses_reaches_the_caller_in_its_own_words() -> None:
    source = "{{ raise_exception('Roles must alternate user/assistant.') }}"
    with pytest.raises(RequestError, match="refuses these messages: Roles must alternate user/assistant"):
        render(source)


def test_a_template_that_is_not_jinja_is_refused_with_a_way_out() -> None:
    with pytest.raises(RequestError, match=r"template is broken: .*endfor.* Use the tool generate\."):
        render("{% for message in messages %}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__class__.__base__ }}",
        "{{ raise_exception.__globals__.json }}",
        "{{ strftime_now.__globals__['datetime'] }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ messages.append('x') }}",
        "{{ messages[0].update(content='x') }}",
    ],
)
def test_a_template_can_neither_leave_its_sandbox_nor_change_the_messages(source: str) -> None:
    with pytest.raises(RequestError, match="refuses these messages"):
        render(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ 1 / 0 }}",
        "{{ range(1000000000) | length }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ messages[7].content.x }}",
        "{{ 'a' + 1 }}",
        "{{ 'x'.encode('no-such-codec') }}",
        "{{ nothing() }}",
    ],
)
def test_whatever_goes_wrong_in_a_template_is_a_request_error(source: str) -> None:
    with pytest.raises(RequestError, match="refuses these messages"):
        render(source)


def test_blocks_leave_no_lines_behind() -> None:
    source = "{% for message in messages %}\n    {% if true %}\n{{ message.content }};\n    {% endif %}\n{% endfor %}\n"
    assert render(source, ("user", "a"), ("user", "b")) == "a;\nb;\n"


def test_tojson_is_plain_json_and_not_escaped_for_html() -> None:
    assert render("{{ {'a': '<é&\\'>'} | tojson }}") == '{"a": "<é&\'>"}'
    assert render("{{ [1] | tojson(indent=2) }}") == "[\n  1\n]"


def test_tojson_takes_the_arguments_that_hugging_face_gives_it() -> None:
    assert render("{{ {'b': 'é', 'a': 1} | tojson(sort_keys=true, separators=(',', ':')) }}") == '{"a":1,"b":"é"}'
    assert render("{{ 'é' | tojson(ensure_ascii=true) }}") == '"\\u00e9"'


def test_strftime_now_is_today() -> None:
    before = datetime.now().date()
    shown = render("{{ strftime_now('%Y-%m-%d') }}")
    assert before.isoformat() <= shown <= datetime.now().date().isoformat()


def test_loops_can_be_left_and_continued() -> None:
    body = "{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}"
    assert render("{% for i in range(9) %}" + body + "{% endfor %}") == "023"


def test_a_template_gets_the_special_texts_and_is_asked_for_an_answer() -> None:
    assert render("{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}") == "<s></s>True"


def test_tools_and_documents_are_none_as_hugging_face_has_them() -> None:
    source = "{{ tools is defined and tools is none }} {{ documents is defined and documents is none }}"
    assert render(source) == "True True"


def test_a_generation_block_is_transparent() -> None:
    source = "{% for message in messages %}{% generation %}{{ message.content }}{% endgeneration %}{% endfor %}"
    assert render(source, ("user", "a"), ("user", "b")) == "ab"


@pytest.mark.parametrize("name", ["from_json", "fromjson"])
def test_json_text_can_be_read(name: str) -> None:
    assert render("{{ (messages[0].content | " + name + ").a }}", ("user", '{"a": 7}')) == "7"


def test_a_template_that_fails_without_a_word_is_named_by_its_failure() -> None:
    with pytest.raises(RequestError, match=r"refuses these messages: TemplateError$"):
        render("{{ raise_exception('') }}")


def test_a_template_that_nests_too_deep_is_broken() -> None:
    with pytest.raises(RequestError, match="template is broken"):
        compiled("{{ " + "(" * 9_000 + "1" + ")" * 9_000 + " }}")


def test_a_template_keeps_its_source_and_knows_its_variables() -> None:
    source = "{{ messages }}{{ strftime_now('%Y') }}{{ raise_exception }}{{ mood | default(range(3)) }}"
    template = compiled(source)
    assert template.source == source
    assert template.variables == {"messages", "mood"}


def test_options_are_variables_of_the_template() -> None:
    template = compiled("{{ mood | default('calm') }}")
    assert template.render(said(("user", "a"))) == "calm"
    assert template.render(said(("user", "a")), (), {"mood": "sad"}) == "sad"


def test_an_option_that_the_template_does_not_know_is_refused_with_those_that_it_does() -> None:
    template = compiled("{{ mood }}{{ messages }}{{ bos_token }}{{ strftime_now('') }}")
    with pytest.raises(UnknownNameError, match=r"^Unknown chat template option 'weather'\. Known: mood\.$"):
        template.render(said(("user", "a")), (), {"weather": "bad"})


@pytest.mark.parametrize("name", ["messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"])
def test_an_option_cannot_replace_what_the_server_sets(name: str) -> None:
    template = compiled("{{ " + name + " }}")
    with pytest.raises(RequestError, match=rf"^The chat template option '{name}' is set by the server\. Leave it out"):
        template.render(said(("user", "a")), (), {name: "x"})


def test_options_cannot_be_changed_by_the_template() -> None:
    with pytest.raises(RequestError, match=r"refuses these messages: .*unsafe"):
        compiled("{{ mood.append(1) }}").render(said(("user", "a")), (), {"mood": []})
