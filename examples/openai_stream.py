"""Stream an answer through OpenAI's own client, and see what it cost.

mcp-llama serve
python examples/openai_stream.py http://127.0.0.1:8080/v1 "Why is the sky blue?"
"""

import sys

from openai import OpenAI


def main(url: str, question: str) -> None:
    client = OpenAI(base_url=url, api_key="none")
    model, *_ = client.models.list().data
    stream = client.chat.completions.create(
        model=model.id,
        messages=[{"role": "user", "content": question}],
        max_tokens=80,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
        if chunk.usage is not None:
            print(f"\n{chunk.usage.to_json(indent=None)}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
