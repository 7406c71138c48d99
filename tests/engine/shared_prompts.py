"""Prompts with a long start in common, and a model that takes several decodes for it."""

from tests.fake_model import FakeModel

HEAD = "You are one of many agents, and all of them begin with these instructions, word by word, up to here: "
LONG = len(HEAD)
CHUNK = 40
"""Rows of a decode: the common start takes three."""


def held_model(*, n_slots: int = 4, can_cut: bool = True) -> FakeModel:
    """A model whose every decode waits for the test."""
    model = FakeModel(n_slots=n_slots, n_batch=CHUNK, can_cut=can_cut)
    model.gate.shut()
    return model
