"""The model cards."""

import json

import pytest
from mcp import MCPError
from mcp_types import ResourceTemplateReference, TextResourceContents

from tests.server.client import Era
from tests.server.scene import Scene
from tests.server.serving import Door, every_era, opened

CARD = "llama://models/{+name}"


@every_era
async def test_a_card_tells_what_is_known_of_a_model(era: Era) -> None:
    async with opened(Door("http", era), Scene()) as server:
        client = server.client.client
        await server.client.call("count_tokens", {"text": "x"})
        templates = await client.list_resource_templates()
        (content,) = (await client.read_resource("llama://models/fake")).contents
    (template,) = templates.resource_templates
    assert template.uri_template == CARD
    assert isinstance(content, TextResourceContents)
    assert content.mime_type == "application/json"
    status = json.loads(content.text)
    assert status["state"] == "ready"
    assert status["card"]["n_ctx"] == 1024
    assert status["card"]["architecture"] == "fake"


@every_era
async def test_a_card_of_an_unknown_model_is_an_error(era: Era) -> None:
    async with opened(Door("http", era), Scene()) as server:
        with pytest.raises(MCPError) as caught:
            await server.client.client.read_resource("llama://models/gpt-9")
        assert (await server.client.call("models", {})).text
    assert "gpt-9" in caught.value.message


@every_era
async def test_names_of_models_are_completed(era: Era) -> None:
    async with opened(Door("http", era), Scene()) as server:
        reference = ResourceTemplateReference(type="ref/resource", uri=CARD)
        client = server.client.client
        found = await client.complete(reference, {"name": "name", "value": "fa"})
        nothing = await client.complete(reference, {"name": "name", "value": "z"})
    assert found.completion.values == ["fake"]
    assert nothing.completion.values == []
