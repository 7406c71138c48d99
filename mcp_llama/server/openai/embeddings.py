"""Vectors, as `/v1/embeddings` gives them."""

import base64

from fastapi.responses import Response

from mcp_llama.api import EmbedRequest
from mcp_llama.backends.backend import Backend
from mcp_llama.engine.model import Vectors
from mcp_llama.errors import RequestError
from mcp_llama.server.answers import json_response
from mcp_llama.server.openai.requests import MAX_INPUTS, EmbeddingsIn, split_texts


async def embed(backend: Backend, model: str, body: EmbeddingsIn) -> Response:
    """The response.

    Raises:
        RequestError: an input cannot be served as it is, or there are too many.
    """
    texts = split_texts(body.input)
    if not 1 <= len(texts) <= MAX_INPUTS:
        raise RequestError(f"input has {len(texts):,} texts, but a request may have from 1 to {MAX_INPUTS:,}.")
    embedding = await backend.embed(EmbedRequest(texts=tuple(texts), model=model))
    async with embedding:
        vectors = await embedding.result()
    own = len(vectors[0])
    if body.dimensions not in (None, own):
        raise RequestError(f"dimensions is {body.dimensions}, but the vectors of {model} have {own}. Leave it out.")
    return await json_response(
        {
            "object": "list",
            "model": model,
            "data": [
                {"object": "embedding", "index": index, "embedding": _encoded(vector, body.encoding_format)}
                for index, vector in enumerate(vectors)
            ],
            "usage": {"prompt_tokens": embedding.tokens, "total_tokens": embedding.tokens},
        }
    )


def _encoded(vector: Vectors, encoding: str | None) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    return vector.tolist()
