"""Let the model call a Python function, watch the call arrive, and stream the answer that it makes of the result.

mcp-llama serve
python examples/tools.py http://127.0.0.1:8080/v1 "How warm is it in Paris?"
"""

import sys
from typing import Any

import openai
from openai import OpenAI
from pydantic import BaseModel, Field


class Temperature(BaseModel):
    """Tells the temperature in a city."""

    city: str = Field(max_length=20)

    def run(self) -> str:
        return f"It is 24 degrees celsius in {self.city}."


def main(url: str, question: str) -> None:
    client = OpenAI(base_url=url, api_key="none")
    model, *_ = client.models.list().data
    messages: list[Any] = [{"role": "user", "content": question}]
    options: dict[str, Any] = {
        "model": model.id,
        "temperature": 0,
        "max_tokens": 80,
        "tools": [openai.pydantic_function_tool(Temperature)],
    }
    with client.chat.completions.stream(
        messages=messages, tool_choice="required", parallel_tool_calls=False, **options
    ) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                print(event.arguments_delta, end="", flush=True, file=sys.stderr)
        message = stream.get_final_completion().choices[0].message
    print(file=sys.stderr)
    messages.append(message)
    for call in message.tool_calls or []:
        temperature = call.function.parsed_arguments
        assert isinstance(temperature, Temperature)
        messages.append({"role": "tool", "tool_call_id": call.id, "content": temperature.run()})
    # A model of 135M parameters would rather repeat the call: this makes it say a sentence. Others do not need it.
    sentence = {"regex": r'[A-Z][^{}"\n]{1,80}\.'}
    with client.chat.completions.stream(
        messages=messages, tool_choice="none", extra_body=sentence, **options
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                print(event.delta, end="", flush=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
