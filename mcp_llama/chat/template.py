"""ChatTemplate: from messages to a prompt, through the Jinja template in the GGUF file."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from types import MappingProxyType

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.meta import find_undeclared_variables
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mcp_llama.api import Message, Tool
from mcp_llama.chat.traits import TemplateTraits, probe
from mcp_llama.chat.turns import functions, turns
from mcp_llama.errors import RequestError, UnknownNameError

_FIXED = frozenset({"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"})
_NOTHING: Mapping[str, object] = MappingProxyType({})


class _Generation(Extension):
    """Hugging Face's `{% generation %}`, which marks what the model wrote and changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class ChatTemplate:
    """A compiled chat template. The globals and filters are those that Hugging Face and llama.cpp give theirs.

    `source` is its text, `variables` the names of all that it may read from outside.
    """

    def __init__(self, source: str, *, bos_text: str, eos_text: str) -> None:
        """Compile.

        Raises:
            RequestError: the template is not valid Jinja.
        """
        self.source = source
        environment = _environment()
        try:
            tree = environment.parse(source)
            self.variables = frozenset(find_undeclared_variables(tree) - _GLOBALS.keys())
            self._template = environment.from_string(tree, _GLOBALS)
        except Exception as error:
            # Besides syntax errors, a template out of a damaged file can nest deeper than Python's compiler goes.
            raise RequestError(
                f"The model's chat template is broken: {_said(error)}. Use the tool generate."
            ) from error
        self._bos_text = bos_text
        self._eos_text = eos_text

    @cached_property
    def traits(self) -> TemplateTraits:
        """What the template can express. The first use renders some small chats."""
        return probe(self._rendered)

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), options: Mapping[str, object] = _NOTHING
    ) -> str:
        """The messages as whole turns, and the beginning of the assistant's next one.

        Raises:
            RequestError: the template refuses the messages, in its own words, or does not know an option.
        """
        for name in options:
            self._check_option(name)
        return self._rendered(messages, tools, self.traits, options)

    def _check_option(self, name: str) -> None:
        if name in _FIXED:
            raise RequestError(f"The chat template option {name!r} is set by the server. Leave it out.")
        if name not in self.variables:
            raise UnknownNameError("chat template option", name, self.variables - _FIXED)

    def _rendered(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        traits: TemplateTraits,
        options: Mapping[str, object] = _NOTHING,
    ) -> str:
        variables = {
            **options,
            "messages": turns(messages, traits),
            "tools": functions(tools) if tools or traits.empty_tools else None,
            "documents": None,
            "add_generation_prompt": True,
            "bos_token": self._bos_text,
            "eos_token": self._eos_text,
        }
        try:
            return self._template.render(variables)
        except Exception as error:
            # A template is a program out of the model's file: whatever it raises says that it can't render these.
            raise RequestError(f"The model's chat template refuses these messages: {_said(error)}") from error


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters.update(tojson=_tojson, from_json=json.loads, fromjson=json.loads)
    return environment


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


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


_GLOBALS = {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
