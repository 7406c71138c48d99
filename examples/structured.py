"""Ask for JSON that fits a schema: the model can write nothing else, and the result has the object.

mcp-llama serve
python examples/structured.py http://127.0.0.1:8080/mcp "Describe a cat."
"""

import json
import sys

import anyio
from mcp import Client

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["dog", "cat", "bird"]},
        "legs": {"type": "integer", "minimum": 0, "maximum": 8},
        "sound": {"type": "string", "maxLength": 20},
    },
    "required": ["kind", "legs", "sound"],
    "additionalProperties": False,
}


async def main(url: str, question: str) -> None:
    arguments = {
        "messages": [{"role": "user", "content": question}],
        "json_schema": SCHEMA,
        "max_tokens": 80,
        "temperature": 0,
    }
    async with Client(url) as client:
        result = await client.call_tool("chat", arguments)
    answer: dict[str, object] = result.structured_content or {}
    if answer.get("parsed") is None:
        sys.exit(f"No object: {answer.get('notes') or result.content}")
    print(json.dumps(answer["parsed"], indent=2))


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2])
