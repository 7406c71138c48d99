"""A value for every sampling option, as it is typed and as it is sent."""

TYPED = {
    "temperature": "0.5",
    "top_p": "0.9",
    "top_k": "40",
    "min_p": "0.1",
    "repeat_penalty": "1.1",
    "max_tokens": "7",
    "seed": "42",
    "stop": "END\n\\n",
}
SENT = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.1,
    "repeat_penalty": 1.1,
    "max_tokens": 7,
    "seed": 42,
    "stop": ["END", "\n"],
}
