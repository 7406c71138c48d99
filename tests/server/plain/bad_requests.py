"""Requests that cannot be served, and what each is told. They are bodies of `POST /generate`."""

import json
from dataclasses import dataclass
from typing import Any, cast

from mcp_llama.server.format_wire import FormatIn
from tests.server.scene import MODEL_NAME


@dataclass(frozen=True, slots=True)
class Bad:
    """A body, and what is wrong with it: a part of the message, `param`, the status and the code."""

    body: Any
    message: str
    param: str | None = None
    status: int = 400
    code: str | None = None
    content_type: str = "application/json"

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        body: object = self.body
        return body if isinstance(body, bytes) else json.dumps(body).encode()

    @property
    def query(self) -> dict[str, Any] | None:
        """The same in a query, if that can say it."""
        body: object = self.body
        fields = cast(dict[str, Any], body) if isinstance(body, dict) else {"": None}
        plain = all(isinstance(value, str | int | float) for value in fields.values())
        return fields if plain and not fields.keys() & FormatIn.model_fields.keys() else None


def with_prompt(**options: Any) -> dict[str, Any]:
    return {"prompt": "x", **options}


def raw(options: str) -> bytes:
    """A body that says things that Python's json would not write."""
    return b'{"prompt": "x", ' + options.encode() + b"}"


def deep(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """A prompt that is nested."""
    return f'{{"prompt": {opening * depth}1{closing * depth}}}'.encode()


_ENCODING = "The body is not UTF-8. Encode it so."
_DIGITS = "The body has a number of too many digits. Shorten it."
_DEEP = "The body is nested too deep. Make it flatter."
_UNICODE = "unable to parse raw data as a unicode string"
_HUGE = "1" + "0" * 400

BAD_REQUESTS: dict[str, Bad] = {
    "unknown field": Bad(with_prompt(max_token=5), "max_token is unknown.", "max_token"),
    "unknown field that is a type": Bad(with_prompt(str=5), "str is unknown.", "str"),
    "option in camel case": Bad(with_prompt(topK=5), "topK is unknown.", "topK"),
    "no prompt": Bad({}, "prompt is missing.", "prompt"),
    "empty prompt": Bad({"prompt": ""}, "prompt is ''", "prompt"),
    "prompt that is a list": Bad({"prompt": ["a"]}, "prompt is ['a']: input should be a valid string.", "prompt"),
    "prompt that is null": Bad({"prompt": None}, "prompt is None", "prompt"),
    "max_tokens of 0": Bad(with_prompt(max_tokens=0), "max_tokens is 0", "max_tokens"),
    "negative max_tokens": Bad(with_prompt(max_tokens=-2), "greater than or equal to -1", "max_tokens"),
    "max_tokens that is a list": Bad(with_prompt(max_tokens=[1]), "max_tokens is [1]", "max_tokens"),
    "max_tokens in words": Bad(with_prompt(max_tokens="many"), "max_tokens is 'many'", "max_tokens"),
    "half a token": Bad(with_prompt(max_tokens=1.5), "max_tokens is 1.5", "max_tokens"),
    "temperature in words": Bad(with_prompt(temperature="hot"), "temperature is 'hot'", "temperature"),
    "negative temperature": Bad(with_prompt(temperature=-1), "greater than or equal to 0", "temperature"),
    "top_p above 1": Bad(with_prompt(top_p=1.5), "less than or equal to 1", "top_p"),
    "negative seed": Bad(with_prompt(seed=-2), "greater than or equal to -1", "seed"),
    "seed of too many bits": Bad(with_prompt(seed=2**63), "less than or equal to 9223372036854775807", "seed"),
    "no time": Bad(with_prompt(max_time_s=0), "greater than 0", "max_time_s"),
    "all the time": Bad(with_prompt(max_time_s=1e9), "less than or equal to 86400", "max_time_s"),
    "unknown model": Bad(
        with_prompt(model="gpt-9"), f"Available: {MODEL_NAME}.", "model", status=404, code="model_not_found"
    ),
    "empty stop string": Bad(with_prompt(stop=""), "stop holds an empty string"),
    "stop that is a number": Bad(with_prompt(stop=[5]), "input should be a valid string", "stop"),
    "stop that is an object": Bad(with_prompt(stop={"a": 1}), "input should be a valid list", "stop"),
    "bias in words": Bad(with_prompt(logit_bias={"1": "much"}), "logit_bias.1 is 'much'", "logit_bias.1"),
    "two formats": Bad(
        with_prompt(regex="a", grammar='root ::= "a"'), "regex and grammar cannot go together; give one", "grammar"
    ),
    "schema of no type": Bad(
        with_prompt(json_schema={"properties": {"a": {"type": "text"}}}),
        "The JSON schema cannot be enforced at '/properties/a', keyword 'type'",
        "json_schema",
    ),
    "schema that is a list": Bad(with_prompt(json_schema=[]), "json_schema is []", "json_schema"),
    "half an expression": Bad(with_prompt(json_schema=None, regex="("), "The regular expression", "regex"),
    "no grammar": Bad(with_prompt(grammar="Be brief."), "The grammar cannot be enforced", "grammar"),
    "bias of no token": Bad(with_prompt(logit_bias={"x": 1}), "must map token ids to numbers"),
    "progress in words": Bad(with_prompt(return_progress="perhaps"), "return_progress is 'perhaps'", "return_progress"),
    "too long with max_tokens": Bad(
        {"prompt": "x" * 900, "max_tokens": 500},
        "Prompt has 901 tokens and max_tokens is 500, but the context holds 1,024. Set max_tokens to 123 or less",
        "max_tokens",
        code="context_length_exceeded",
    ),
    "longer than the context": Bad(
        {"prompt": "x" * 2000}, "Shorten the prompt by at least 978 tokens", code="context_length_exceeded"
    ),
    "as long as the context": Bad(
        {"prompt": "x" * 1023}, "Shorten the prompt by at least 1 tokens", code="context_length_exceeded"
    ),
    "no body": Bad(b"", "The body is missing."),
    "no JSON": Bad(b"prompt=x", "not valid JSON"),
    "half of JSON": Bad(b'{"prompt": "x"', "not valid JSON"),
    "two bodies": Bad(b'{"prompt": "x"}{"prompt": "x"}', "not valid JSON"),
    "a list": Bad([1], "valid dictionary or object"),
    "a string": Bad("x", "valid dictionary or object"),
    "null": Bad(b"null", ""),
    "a form": Bad(b"prompt=x", "Content-Type: application/json", content_type="application/x-www-form-urlencoded"),
    "text": Bad(b'{"prompt": "x"}', "Content-Type: application/json", content_type="text/plain"),
    "another charset": Bad('{"prompt": "ü"}'.encode("latin-1"), _ENCODING),
    "half a character": Bad(b'{"prompt": "\xe4\xb8"}', _ENCODING),
    "surrogate": Bad(rb'{"prompt": "\ud800"}', _UNICODE, "prompt"),
    "surrogate in stop": Bad(raw(r'"stop": ["\udc00"]'), _UNICODE, "stop"),
    "surrogate in a name": Bad(raw(r'"\ud800": 1'), _UNICODE),
    "surrogate in the model": Bad(raw(r'"model": "\ud800"'), _UNICODE, "model"),
    "not a number": Bad(raw('"temperature": NaN'), "temperature is nan", "temperature"),
    "infinity": Bad(raw('"temperature": Infinity'), "temperature is inf", "temperature"),
    "infinite time": Bad(raw('"max_time_s": Infinity'), "max_time_s is inf", "max_time_s"),
    "bias that is no number": Bad(raw('"logit_bias": {"1": NaN}'), "must map token ids to numbers"),
    "number past floats": Bad(raw('"top_p": 1e999'), "top_p is inf", "top_p"),
    "huge temperature": Bad(raw(f'"temperature": {_HUGE}'), "temperature is 1000", "temperature"),
    "huge seed": Bad(raw(f'"seed": {_HUGE}'), "seed is 1000", "seed"),
    "more digits than Python reads": Bad(raw(f'"seed": {"9" * 5000}'), _DIGITS),
    "nested": Bad(deep(200), "prompt is [[[[", "prompt"),
    "nested objects": Bad(deep(200, '{"a":', "}"), "prompt is {'a': {'a'", "prompt"),
    "deeply nested": Bad(deep(100_000), _DEEP),
    "deeply nested objects": Bad(deep(100_000, '{"a":', "}"), _DEEP),
    "long unknown name": Bad(with_prompt(**{"n" * 5000: 1}), "is unknown.", "n" * 80),
    "long value": Bad(with_prompt(temperature="9" * 5000 + "x"), "temperature is '99", "temperature"),
    "long model": Bad(with_prompt(model="m" * 5000), "Unknown model 'mmm", "model", status=404, code="model_not_found"),
    "many unknown names": Bad(with_prompt(**{f"n{n}": n for n in range(50)}), "And 47 more like these.", "n0"),
}
