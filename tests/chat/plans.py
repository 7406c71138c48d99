"""Templates in the manner of well-known models, and plans for chats with them."""

from mcp_llama.api import ChatRequest, Message
from mcp_llama.chat.answer import AnswerReader
from mcp_llama.chat.plan import ChatDefaults, Plan, plan_chat
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.engine.grammar import Grammar
from mcp_llama.engine.types import Finish, TokenDelta
from tests.chat.templates import compiled
from tests.chat.walks import CONSTRAINTS, longest, may_end

_CALLS = """
{%- for call in message.tool_calls or [] -%}
OPEN{"name": "{{ call.function.name }}", "KEY": {{ call.function.arguments | tojson }}}CLOSE
{%- endfor -%}
"""
_TURNS = """
{%- for tool in tools or [] %}[tool]{{ tool | tojson }}{% endfor -%}
{%- for message in messages -%}
<{{ message.role }}>{{ message.content }}CALLS</s>
{%- endfor -%}
<assistant>THINK"""


def _source(opening: str, closing: str, key: str = "arguments", think: str = "") -> str:
    calls = _CALLS.replace("OPEN", opening).replace("CLOSE", closing).replace("KEY", key)
    return _TURNS.replace("CALLS", calls).replace("THINK", think)


PLAIN = compiled("{% for message in messages %}<{{ message.role }}>{{ message.content }}{% endfor %}<assistant>")
QWEN = compiled(
    _source(
        "<tool_call>\n",
        "\n</tool_call>",
        think="{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}",
    )
)
"""It may reason, and its option enable_thinking closes the reasoning."""
QWQ = compiled(_source("<tool_call>\n", "\n</tool_call>", think="{# </think> #}{{ '<think>\n' }}"))
"""It opens the reasoning itself."""
MISTRAL = compiled(_source("[TOOL_CALLS][", "]"))
LLAMA = compiled("{# ipython <|python_tag|> #}" + _source("", "", "parameters"))
EFFORT = compiled(f"{{{{ reasoning_effort }}}}{_source('<tool_call>', '</tool_call>')}</think>")

USER = Message(role="user", content="seven and one")


def said(content: str = "", reasoning: str = "") -> Message:
    """An assistant's message to be continued."""
    return Message(role="assistant", content=content, reasoning=reasoning)


def plan(request: ChatRequest, template: ChatTemplate = PLAIN, defaults: ChatDefaults | None = None) -> Plan:
    return plan_chat(request, template, defaults or ChatDefaults())


def allows(found: Plan, text: str) -> bool:
    """Whether the plan's grammar takes `text` as the rest of the answer."""
    assert found.grammar is not None
    return _allows(found.grammar, found.begun, text)


def _allows(grammar: Grammar, begun: str, text: str) -> bool:
    constraint = grammar.compile(CONSTRAINTS)
    return constraint.advance(begun) and longest(constraint, text) == text and may_end(constraint)


def last_delta(found: Plan, text: str) -> tuple[AnswerReader, TokenDelta]:
    """The plan's reader, and what it makes of a whole answer."""
    made = found.reader()
    assert made is not None
    return made, made.read(TokenDelta(text, 2, 1, finish=Finish("stop", None, 1.0)))
