"""From the vectors of tokens to those of texts."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.embedding import EmbedJob
from mcp_llama.engine.model import Pooling, Vectors

POOLINGS: tuple[Pooling, ...] = ("mean", "cls", "last")
texts = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=9), min_size=1, max_size=4)


def token_vectors(tokens: Sequence[int], position: int) -> Vectors:
    """Vectors that differ by token and by position."""
    places = np.arange(position, position + len(tokens))
    return np.stack([np.sin(tokens), np.cos(places), np.ones(len(tokens))], axis=1).astype(np.float32)


def computed(asked: Sequence[Sequence[int]], pooling: Pooling, rows: int) -> list[Vectors]:
    """The vectors of texts that are computed so many tokens a time."""
    job = EmbedJob(asked, pooling)
    while not job.is_done:
        tokens, position = job.next_tokens(rows)
        assert 0 < len(tokens) <= rows
        job.add(token_vectors(tokens, position))
    return job.vectors


@given(texts, st.sampled_from(POOLINGS), st.integers(1, 10))
def test_pooling_does_not_depend_on_how_a_text_is_cut(asked: list[list[int]], pooling: Pooling, rows: int) -> None:
    for text, vector in zip(asked, computed(asked, pooling, rows), strict=True):
        whole = token_vectors(text, 0)
        pooled = {"mean": whole.mean(axis=0), "cls": whole[0], "last": whole[-1]}[pooling]
        assert np.allclose(vector, pooled / np.linalg.norm(pooled), atol=1e-5)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_job_is_between_texts_before_and_after_each() -> None:
    job = EmbedJob([[1, 2, 3], [4]], "mean")
    between: list[bool] = []
    for rows in (2, 1, 1):
        between.append(job.is_between_texts)
        assert not job.is_done
        job.add(token_vectors(*job.next_tokens(rows)))
    assert (between, job.is_between_texts, job.is_done) == ([True, False, True], True, True)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_text_that_begins_again_counts_nothing_twice(pooling: Pooling) -> None:
    job = EmbedJob([[1, 2, 3], [4, 5, 6]], pooling)
    for rows in (3, 2):
        job.add(token_vectors(*job.next_tokens(rows)))
    job.restart_text()
    assert job.next_tokens(9) == ([4, 5, 6], 0)
    job.add(token_vectors(*job.next_tokens(9)))
    assert [list(vector) for vector in job.vectors] == [
        list(vector) for vector in computed([[1, 2, 3], [4, 5, 6]], pooling, 9)
    ]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_vector_without_a_length_stays_as_it_is(pooling: Pooling) -> None:
    job = EmbedJob([[1, 2]], pooling)
    job.add(np.zeros((2, 3), np.float32))
    assert job.vectors[0].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_vectors_of_a_part_may_be_overwritten_by_the_next(pooling: Pooling) -> None:
    job = EmbedJob([[1, 2, 3, 4]], pooling)
    for _ in range(2):
        part = token_vectors(*job.next_tokens(2))
        job.add(part)
        part[:] = 0
    assert job.vectors[0].tolist() == computed([[1, 2, 3, 4]], pooling, 2)[0].tolist()
