"""Plan: what a chat request becomes for one model: a prompt, a grammar, and a reader of the answer."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from mcp_llama.api import ChatRequest, Message, OutputFormat, Tool
from mcp_llama.chat.answer import AnswerReader
from mcp_llama.chat.call_start import CallStart
from mcp_llama.chat.marks import GENERIC, CallSyntax, ReasoningMarks, call_syntax, reasoning_marks
from mcp_llama.chat.parser import AnswerParser
from mcp_llama.chat.polyfill import describe_tools, plain_calls, single_calls
from mcp_llama.chat.template import ChatTemplate
from mcp_llama.chat.tool_choice import call_start, callable_tools, must_call, offered_tools
from mcp_llama.chat.turn_grammar import TurnRules, turn_grammar
from mcp_llama.engine.grammar import Grammar, format_part
from mcp_llama.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDefaults:
    """What holds for all chats. `marks` None means those of the template; `reasoning_budget` is in tokens, None any."""

    marks: ReasoningMarks | None = None
    reasoning_budget: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to run a chat request.

    `prompt` ends with `begun`, the text of the answer that the caller has already. `reasons`: the prompt opens the
    reasoning; `may_reason`: the answer may open it. `start` None means that no tools may be called.
    """

    prompt: str
    begun: str
    grammar: Grammar | None
    marks: ReasoningMarks | None
    reasons: bool
    may_reason: bool
    reasoning_budget: int | None
    start: CallStart | None
    split_reasoning: bool
    form: OutputFormat | None

    def reader(self, warnings: tuple[str, ...] = ()) -> AnswerReader | None:
        """A reader of the answer, None where its text is just what the model writes.

        `warnings` tell what the compiled grammar does not enforce.
        """
        marks = self.marks if self.reasons or self.may_reason else None
        if self.start is None and self.form is None and (marks is None or not self.split_reasoning):
            return None
        split = self.split_reasoning
        parser = AnswerParser(marks, self.start, reasons=self.reasons, begun=self.begun, verbatim=not split)
        notes = warnings if self.grammar is None else (*self.grammar.relaxed, *warnings)
        return AnswerReader(parser, self.form, notes, self.begun, split=split)


def plan_chat(request: ChatRequest, template: ChatTemplate, defaults: ChatDefaults) -> Plan:
    """The plan for a request. Renders the template, which may take long.

    Raises:
        RequestError: the messages, tools or options do not fit together, or the template refuses them.
        ConstraintError: a schema cannot be enforced.
    """
    tools = offered_tools(request)
    marks = defaults.marks or reasoning_marks(template.source)
    budget = _budget(request, defaults)
    asked, last = _split_trailing(request.messages)
    prompt, syntax = _render(replace(request, messages=asked), tools, template)
    prompt, reasoning = _begin(prompt, last, marks, budget)
    begun = "" if last is None else last.content
    called = callable_tools(request, tools)
    grammar = turn_grammar(
        TurnRules(
            syntax=syntax,
            tools=called,
            must_call=must_call(request),
            parallel=syntax.parallel if request.parallel_tool_calls is None else request.parallel_tool_calls,
            content=None if request.format is None else format_part(request.format),
            marks=marks,
            reasons=reasoning == "open",
            may_reason=reasoning == "possible",
        )
    )
    return Plan(
        prompt=prompt,
        begun=begun,
        grammar=grammar,
        marks=marks,
        reasons=reasoning == "open",
        may_reason=reasoning == "possible",
        reasoning_budget=budget,
        start=call_start(request, syntax, called),
        split_reasoning=request.split_reasoning,
        form=request.format,
    )


def render_chat(request: ChatRequest, template: ChatTemplate, defaults: ChatDefaults) -> str:
    """The prompt alone; raises as `plan_chat` does, but does not look at schemas."""
    asked, last = _split_trailing(request.messages)
    prompt, _ = _render(replace(request, messages=asked), offered_tools(request), template)
    marks = defaults.marks or reasoning_marks(template.source)
    return _begin(prompt, last, marks, _budget(request, defaults))[0]


def _budget(request: ChatRequest, defaults: ChatDefaults) -> int | None:
    if request.reasoning_effort == "none":
        return 0
    return defaults.reasoning_budget if request.reasoning_budget is None else request.reasoning_budget


def _options(request: ChatRequest, template: ChatTemplate) -> Mapping[str, object]:
    """The variables for the template."""
    effort, options = request.reasoning_effort, request.template_options
    if effort is None:
        return options
    if effort == "none":
        return {"enable_thinking": False, **options} if "enable_thinking" in template.variables else options
    if "reasoning_effort" not in template.variables:
        raise RequestError(
            f"The model's chat template knows no reasoning_effort {effort!r}. Leave it out, or set reasoning_budget.",
            "reasoning_effort",
        )
    return {"reasoning_effort": effort, **options}


def _split_trailing(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], Message | None]:
    """The messages to answer, and the answer that is to be continued, if one is."""
    if not messages:
        raise RequestError("messages is empty. Send at least one message.")
    if messages[-1].role != "assistant":
        return messages, None
    if messages[-1].tool_calls:
        raise RequestError("The last message calls tools: answer them with tool messages first.", "messages")
    return messages[:-1], messages[-1]


def _render(request: ChatRequest, tools: Sequence[Tool], template: ChatTemplate) -> tuple[str, CallSyntax]:
    """The prompt and the syntax of calls: the template's own if it has one that is read here."""
    options = _options(request, template)
    if not tools and not any(message.tool_calls or message.role == "tool" for message in request.messages):
        return template.render(request.messages, (), options), GENERIC
    syntax = call_syntax(template.source)
    if syntax is not None and template.traits.tools:
        # Some templates take only schemas of a simple kind; described in words, any will do.
        with suppress(RequestError):
            return template.render(_native(request.messages, template), tools, options), syntax
    described = describe_tools(request.messages, tools, must_call=must_call(request), system=template.traits.system)
    return template.render(plain_calls(described, calls=False, results=False), (), options), GENERIC


def _native(messages: Sequence[Message], template: ChatTemplate) -> Sequence[Message]:
    """The messages with calls and results as far as the template shows them."""
    traits = template.traits
    plain = plain_calls(messages, calls=traits.arguments is not None, results=traits.results)
    return plain if traits.parallel_calls else single_calls(plain)


def _begin(
    prompt: str, last: Message | None, marks: ReasoningMarks | None, budget: int | None
) -> tuple[str, Literal["none", "possible", "open"]]:
    """The prompt with the beginning of the answer, and whether reasoning comes next."""
    reasoning, text = ("", "") if last is None else (last.reasoning, last.content)
    if marks is None or prompt.rstrip().endswith(marks.end):
        return prompt + text, "none"
    opened = prompt.rstrip().endswith(marks.start.rstrip())
    if not opened and (reasoning or (budget == 0 and not text)):
        prompt, opened = f"{prompt}{marks.start}\n", True
    if opened and (text or budget == 0):
        return f"{prompt}{reasoning}\n{marks.end}\n\n{text}", "none"
    if opened:
        return prompt + reasoning, "open"
    return prompt + text, "none" if text else "possible"
