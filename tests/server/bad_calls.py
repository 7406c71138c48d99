"""Calls that cannot be served, and what each is told."""

from collections.abc import Mapping
from typing import Any

USER = [{"role": "user", "content": "Hi"}]
LONG = "long " * 2_000

BadCall = tuple[str, Mapping[str, Any], str]

BAD_CALLS: dict[str, BadCall] = {
    "unknown tool": ("generat", {"prompt": "x"}, "Unknown tool 'generat'. Did you mean 'generate'?"),
    "nameless tool": ("", {}, "Unknown tool ''. Known: chat, count_tokens, embed, generate, models."),
    "unknown argument": (
        "generate",
        {"prompt": "x", "max_token": 5},
        "Unknown argument of generate 'max_token'. Did you mean 'max_tokens'?",
    ),
    "missing prompt": ("generate", {}, "prompt is missing."),
    "prompt of the wrong type": ("generate", {"prompt": 5}, "prompt is 5: input should be a valid string."),
    "prompt that is a list": ("generate", {"prompt": ["a"]}, "prompt is ['a']: input should be a valid string."),
    "empty prompt": ("generate", {"prompt": ""}, "prompt is empty. Send the text to continue."),
    "max_tokens of 0": (
        "generate",
        {"prompt": "x", "max_tokens": 0},
        "max_tokens is 0: input should be greater than or equal to 1.",
    ),
    "negative max_tokens": (
        "generate",
        {"prompt": "x", "max_tokens": -3},
        "max_tokens is -3: input should be greater than or equal to 1.",
    ),
    "max_tokens in words": (
        "generate",
        {"prompt": "x", "max_tokens": "many"},
        "max_tokens is 'many': input should be a valid integer, unable to parse string as an integer.",
    ),
    "negative temperature": (
        "generate",
        {"prompt": "x", "temperature": -0.5},
        "temperature is -0.5, but it must be a number from 0 to 100.",
    ),
    "top_p above 1": ("generate", {"prompt": "x", "top_p": 1.5}, "top_p is 1.5, but it must be a number from 0 to 1."),
    "negative seed": (
        "generate",
        {"prompt": "x", "seed": -1},
        "seed is -1, but it must be a whole number from 0 to 4294967294.",
    ),
    "negative seed of several answers": (
        "generate",
        {"prompt": "x", "seed": -1, "n": 2},
        "seed is -1, but it must be a whole number from 0 to 4294967294.",
    ),
    "seed past the last of several answers": (
        "generate",
        {"prompt": "x", "seed": 2**32 - 1, "n": 2},
        "seed is 4294967295, but it must be a whole number from 0 to 4294967294.",
    ),
    "seed of several answers that is no number": (
        "generate",
        {"prompt": "x", "sampling": {"seed": True}, "n": 2},
        "seed is True, but it must be a whole number from 0 to 4294967294.",
    ),
    "time of 0": ("generate", {"prompt": "x", "max_time_s": 0}, "max_time_s is 0: input should be greater than 0."),
    "empty stop string": (
        "generate",
        {"prompt": "x", "stop": ["\n", ""]},
        "stop holds an empty string, which would end every answer at once. Remove it.",
    ),
    "stop that is a string": (
        "generate",
        {"prompt": "x", "stop": "END"},
        "stop is 'END': input should be a valid list.",
    ),
    "unknown sampling option": (
        "generate",
        {"prompt": "x", "sampling": {"topk": 5}},
        "Unknown sampling option 'topk'. Did you mean 'top_k'?",
    ),
    "sampling option of the wrong type": (
        "generate",
        {"prompt": "x", "sampling": {"min_p": "low"}},
        "min_p is 'low', but it must be a number from 0 to 1.",
    ),
    "option given twice": (
        "generate",
        {"prompt": "x", "temperature": 0.5, "sampling": {"temperature": 0.7}},
        "temperature is given twice, as an argument and in sampling. Remove one.",
    ),
    "too long for the context": (
        "generate",
        {"prompt": "x" * 900, "max_tokens": 500},
        "Prompt has 901 tokens and max_tokens is 500, but the context holds 1,024. "
        "Set max_tokens to 123 or less, or shorten the prompt.",
    ),
    "prompt longer than the context": (
        "generate",
        {"prompt": LONG, "max_tokens": 5},
        "Prompt has 10,001 tokens and max_tokens is 5, but the context holds 1,024. "
        "Shorten the prompt by at least 8,978 tokens, or start the server with a larger n_ctx.",
    ),
    "unknown model": (
        "generate",
        {"prompt": "x", "model": "gpt-9"},
        "Unknown model 'gpt-9'. Available: fake. Omit model for the default.",
    ),
    "no messages": ("chat", {"messages": []}, "messages is empty. Send at least one message."),
    "missing messages": ("chat", {}, "messages is missing."),
    "unknown role": (
        "chat",
        {"messages": [{"role": "robot", "content": "x"}]},
        "messages.0.role is 'robot': input should be 'system', 'developer', 'user', 'assistant' or 'tool'.",
    ),
    "unknown key of a message": (
        "chat",
        {"messages": [{"role": "user", "content": "x", "mood": "glad"}]},
        "messages.0.mood is unknown.",
    ),
    "message without content": (
        "chat",
        {"messages": [{"role": "user"}]},
        "messages.0: the content of a message of the role user is missing.",
    ),
    "content of the wrong type": (
        "chat",
        {"messages": [{"role": "user", "content": 5}]},
        "messages.0.content is 5: input should be a valid string. "
        "messages.0.content is 5: input should be a valid list.",
    ),
    "image in a message": (
        "chat",
        {"messages": [{"role": "user", "content": [{"type": "image", "text": "x"}]}]},
        "messages.0.content is [{'type': 'image', 'text': 'x'}]: input should be a valid string. "
        "messages.0.content.0.type is 'image': input should be 'text'.",
    ),
    "name of a user": (
        "chat",
        {"messages": [{"role": "user", "content": "x", "name": "Ann"}]},
        "messages.0: name and tool_call_id are only for messages of the role tool.",
    ),
    "unknown model in chat": (
        "chat",
        {"messages": USER, "model": "gpt-9"},
        "Unknown model 'gpt-9'. Available: fake. Omit model for the default.",
    ),
    "nothing to count": ("count_tokens", {}, "Give either text or messages, and not both."),
    "two things to count": (
        "count_tokens",
        {"text": "x", "messages": USER},
        "Give either text or messages, and not both.",
    ),
    "unknown model in counting": (
        "count_tokens",
        {"text": "x", "model": "gpt-9"},
        "Unknown model 'gpt-9'. Available: fake. Omit model for the default.",
    ),
}

LONG_INPUTS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "tool": (LONG, {}),
    "argument": ("generate", {"prompt": "x", LONG: 1}),
    "prompt in a list": ("generate", {"prompt": [LONG]}),
    "prompt in an object": ("generate", {"prompt": {"text": LONG}}),
    "max_tokens": ("generate", {"prompt": "x", "max_tokens": LONG}),
    "model": ("generate", {"prompt": "x", "model": LONG}),
    "stop": ("generate", {"prompt": "x", "stop": LONG}),
    "item of stop": ("generate", {"prompt": "x", "stop": [5, LONG, [LONG]]}),
    "temperature": ("generate", {"prompt": "x", "temperature": LONG}),
    "name of a sampling option": ("generate", {"prompt": "x", "sampling": {LONG: 1}}),
    "sampling": ("generate", {"prompt": "x", "sampling": LONG}),
    "min_p": ("generate", {"prompt": "x", "sampling": {"min_p": LONG}}),
    "logit_bias": ("generate", {"prompt": "x", "sampling": {"logit_bias": LONG}}),
    "token of logit_bias": ("generate", {"prompt": "x", "sampling": {"logit_bias": {LONG: 1}}}),
    "dry_sequence_breakers": ("generate", {"prompt": "x", "sampling": {"dry_sequence_breakers": LONG}}),
    "ignore_eos": ("generate", {"prompt": "x", "sampling": {"ignore_eos": LONG}}),
    "messages": ("chat", {"messages": LONG}),
    "role": ("chat", {"messages": [{"role": LONG, "content": "x"}]}),
    "content in a list": ("chat", {"messages": [{"role": "user", "content": [LONG]}]}),
    "key of a message": ("chat", {"messages": [{"role": "user", "content": "x", LONG: "x"}]}),
    "many messages": ("chat", {"messages": [LONG] * 50}),
    "model in counting": ("count_tokens", {"text": "x", "model": LONG}),
}
