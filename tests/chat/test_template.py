from datetime import datetime
from pathlib import Path

import pytest

from mcp_llama.api import Message, Role
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.errors import RequestError

SYSTEM = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"


@pytest.fixture(scope="module")
def embedded(real_model_path: Path) -> ChatTemplate:
    """The template in the embedded model."""
    model = LlamaModel(real_model_path, ModelOptions(n_ctx=64, n_slots=1, n_threads=1))
    try:
        assert model.chat_template is not None
        return ChatTemplate(model.chat_template, bos_text=model.bos_text, eos_text=model.eos_text)
    finally:
        model.close()


def said(*turns: tuple[Role, str]) -> list[Message]:
    return [Message(role=role, content=content) for role, content in turns]


def render(source: str, *turns: tuple[Role, str]) -> str:
    template = ChatTemplate(source, bos_text="<s>", eos_text="</s>")
    return template.render(said(*(turns or (("user", "hi"),))))


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
    prompt = embedded.render(said(("user", "Why?"), ("assistant", begun)))
    assert prompt == f"{SYSTEM}<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n{begun}"


def test_an_assistant_message_before_the_last_is_closed(embedded: ChatTemplate) -> None:
    prompt = embedded.render(said(("user", "Why?"), ("assistant", "Because."), ("assistant", "And so")))
    assert prompt.endswith("<|im_start|>assistant\nBecause.<|im_end|>\n<|im_start|>assistant\nAnd so")


def test_text_that_looks_like_jinja_is_only_text() -> None:
    assert render("{{ messages[0].content }}", ("user", "{{ 7 * 7 }}{% raw %}")) == "{{ 7 * 7 }}{% raw %}"


def test_messages_may_not_be_empty(embedded: ChatTemplate) -> None:
    with pytest.raises(RequestError, match=r"^messages is empty\. Send at least one message\.$"):
        embedded.render([])


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
    source = "{% if tools is not none %}tools{% endif %}{% if documents is not none %}documents{% endif %}{{ 1 }}"
    assert render(source) == "1"


def test_a_generation_block_is_transparent() -> None:
    source = "{% for message in messages %}{% generation %}{{ message.content }}{% endgeneration %}{% endfor %}"
    assert render(source, ("user", "a"), ("user", "b")) == "ab"
