# /// script
# requires-python = ">=3.11"
# dependencies = ["pydantic-ai-slim[mcp,openai]>=2.68,<3"]
# ///
"""An agent that is local as a whole: one server is its model, over /v1, and has its tools, over /mcp.

mcp-llama serve
uv run examples/frameworks/local_agent.py http://127.0.0.1:8080 "How many tokens has the text 'The quick brown fox'?"
"""

import asyncio
import sys
from dataclasses import replace

from pydantic import BaseModel
from pydantic_ai import Agent, ModelSettings, NativeOutput, RunContext, ToolDefinition
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Answer(BaseModel):
    tokens: int


async def only_text(context: RunContext, tools: list[ToolDefinition]) -> list[ToolDefinition]:
    # A model of 135M parameters fills in every field that it sees, needed or not. Others do not need this.
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    return [replace(tool, parameters_json_schema=schema) for tool in tools if tool.name == "count_tokens"]


def settings(context: RunContext) -> ModelSettings:
    """The first step calls the tool, the next one answers, whatever the model would rather do."""
    return ModelSettings(temperature=0, max_tokens=80, tool_choice="required" if context.run_step == 1 else "none")


async def main(url: str, question: str) -> None:
    provider = OpenAIProvider(base_url=f"{url}/v1", api_key="none")
    model, *_ = (await provider.client.models.list()).data
    agent = Agent(
        OpenAIChatModel(model.id, provider=provider),
        toolsets=[MCPToolset(f"{url}/mcp").prepared(only_text)],
        output_type=NativeOutput(Answer),
        model_settings=settings,
    )
    run = await agent.run(question)
    for message in run.all_messages():
        print(message.parts[-1], file=sys.stderr)
    print(run.output)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1].rstrip("/"), sys.argv[2]))
