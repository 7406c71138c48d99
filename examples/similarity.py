"""Rank texts by how near they are to a question, with vectors from the local model.

mcp-llama serve
python examples/similarity.py http://127.0.0.1:8080/v1 "a small cat" "a kitten" "the stock market"
"""

import sys

from openai import OpenAI


def main(url: str, question: str, texts: list[str]) -> None:
    client = OpenAI(base_url=url, api_key="none")
    model, *_ = client.models.list().data
    asked, *others = (
        item.embedding for item in client.embeddings.create(model=model.id, input=[question, *texts]).data
    )
    # All vectors have length 1, so that their product is the cosine of the angle between them.
    scores = [sum(a * b for a, b in zip(asked, other, strict=True)) for other in others]
    for score, text in sorted(zip(scores, texts, strict=True), reverse=True):
        print(f"{score:.3f}  {text}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
