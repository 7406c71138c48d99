"""An agent framework runs its own loop of question, tool call and answer on the embedded model."""

from typing import Any

import agents
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, RunConfig, Runner
from openai import AsyncOpenAI
from pydantic import BaseModel, Field

from tests.server.scene import MODEL_NAME

QUESTION = "How warm is it in Paris?"
IN_A_SENTENCE = {"regex": r'[A-Z][^{}"\n]{1,80}\.'}
"""So small a model would rather repeat the call that it reads above."""


class Temperature(BaseModel):
    """What the agent has to say in the end."""

    city: str = Field(max_length=20)
    degrees: int = Field(ge=-50, le=50)


def thermometer(asked: list[str], output: type[BaseModel] | None = None) -> Agent[None]:
    """An agent that has a tool until it has used it, which is noted."""

    def is_enabled(_context: Any, _agent: Any) -> bool:
        return not asked

    @agents.function_tool(is_enabled=is_enabled)
    def temperature(city: str) -> str:  # pyright: ignore[reportUnusedFunction]
        """Tells the temperature in a city.

        Args:
            city: The name of the city.
        """
        asked.append(city)
        return f"It is 24 degrees celsius in {city}."

    return Agent(name="Thermometer", instructions="Be brief.", tools=[temperature], output_type=output)


def config(client: AsyncOpenAI, **body: Any) -> RunConfig:
    """The first turn must call a tool; after that the framework lets the model choose."""
    return RunConfig(
        model=OpenAIChatCompletionsModel(model=MODEL_NAME, openai_client=client),
        model_settings=ModelSettings(
            temperature=0, max_tokens=80, tool_choice="required", parallel_tool_calls=False, extra_body=body
        ),
        tracing_disabled=True,
    )


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
async def test_an_agent_calls_its_tool_and_answers_with_what_the_tool_said(
    client: AsyncOpenAI, streaming: bool
) -> None:
    asked: list[str] = []
    agent, how = thermometer(asked), config(client, **IN_A_SENTENCE)
    if streaming:
        run = Runner.run_streamed(agent, QUESTION, run_config=how)
        kinds = [event.type async for event in run.stream_events()]
        assert kinds.count("raw_response_event") > 10
    else:
        run = await Runner.run(agent, QUESTION, run_config=how)
    assert asked == ["Paris"]
    assert [item.type for item in run.new_items] == ["tool_call_item", "tool_call_output_item", "message_output_item"]
    assert "24" in run.final_output


async def test_an_agent_with_an_output_type_gets_an_object_of_it(client: AsyncOpenAI) -> None:
    asked: list[str] = []
    run = await Runner.run(thermometer(asked, Temperature), QUESTION, run_config=config(client))
    assert asked == ["Paris"]
    assert isinstance(run.final_output, Temperature)
    assert run.final_output.degrees == 24
