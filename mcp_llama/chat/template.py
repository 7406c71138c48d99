"""ChatTemplate: from messages to a prompt, through the Jinja template in the GGUF file."""

import json
from collections.abc import Sequence
from datetime import datetime

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mcp_llama.api import Message
from mcp_llama.errors import RequestError


class _Generation(Extension):
    """Hugging Face's `{% generation %}`, which marks what the model wrote and changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """A compiled chat template. The globals and filters are those that Hugging Face gives its templates."""

    def __init__(self, source: str, *, bos_text: str, eos_text: str) -> None:
        """Compile.

        Raises:
            RequestError: the template is not valid Jinja.
        """
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
        )
        environment.filters["tojson"] = _tojson
        try:
            self._template = environment.from_string(
                source, globals={"raise_exception": _raise_exception, "strftime_now": _strftime_now}
            )
        except jinja2.TemplateError as error:
            raise RequestError(f"The model's chat template is broken: {error}. Use the tool generate.") from error
        self._bos_text = bos_text
        self._eos_text = eos_text

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt that asks for the next assistant message, or for the rest of a trailing one.

        Raises:
            RequestError: there are no messages, or the template refuses them; carries the template's own message.
        """
        if not messages:
            raise RequestError("messages is empty. Send at least one message.")
        continued = messages[-1].content if messages[-1].role == "assistant" else None
        asked = messages if continued is None else messages[:-1]
        try:
            prompt = self._template.render(
                messages=[{"role": message.role, "content": message.content} for message in asked],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                bos_token=self._bos_text,
                eos_token=self._eos_text,
            )
        except Exception as error:
            # A template is a program out of the model's file: whatever it raises says that it can't render these.
            raise RequestError(f"The model's chat template refuses these messages: {error}") from error
        return prompt + (continued or "")


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.now().strftime(pattern)
