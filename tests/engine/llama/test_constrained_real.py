"""Constrained generation with the embedded model."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from mcp_llama.api import FormatKind, Result
from mcp_llama.engine.constraint import Constraint, Constraints
from mcp_llama.engine.engine import Engine
from mcp_llama.engine.llama import LlamaModel, ModelOptions
from mcp_llama.engine.llama.readers import Readers
from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import EngineError
from tests.engine.constraining import compiled, constrained, constraint_for
from tests.engine.llama.decoding import RecordingModel, tokens
from tests.engine.sequences import request, run, run_all

EngineModel = tuple[Engine, RecordingModel]

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "likes": {"type": "array", "items": {"enum": ["tea", "coffee", "água"]}, "maxItems": 3},
    },
    "required": ["name", "age", "likes"],
    "additionalProperties": False,
}
DATE = r"(19|20)[0-9]{2}-(0[1-9]|1[0-2])-[0-3][0-9]"
SUM = 'root ::= num (" + " num){1,3} " = " num\nnum ::= [1-9] [0-9]?'
POEM = 'start: line ("\\n" line){1,2}\nline: /[A-Z][a-z]{0,9}/ (" " /[a-zé🙂]{1,8}/){1,4} "."'
PROMPTS = {"json_schema": "A person as JSON:", "regex": "The date is ", "gbnf": "3 + 4 = 7\n", "lark": "A poem:\n"}
FORMATS: dict[FormatKind, object] = {"json_schema": SCHEMA, "regex": DATE, "gbnf": SUM, "lark": POEM}


@pytest.fixture(scope="module")
def constraints(loaded_model: LlamaModel) -> Constraints:
    return Constraints(loaded_model.grammar_tokenizer())


async def sampled(
    engine_model: EngineModel, constraints: Constraints, kind: FormatKind, seed: int, temperature: float = 1.5
) -> Result:
    engine, model = engine_model
    sampling = SamplingParams(seed=seed, temperature=temperature)
    asked = request(tokens(model, PROMPTS[kind]), 150, sampling=sampling)
    return await run(engine, constrained(asked, compiled(kind, FORMATS[kind], constraints)))


@pytest.mark.parametrize("seed", range(6))
async def test_a_json_schema_gives_json_that_is_valid(
    engine_model: EngineModel, constraints: Constraints, seed: int
) -> None:
    result = await sampled(engine_model, constraints, "json_schema", seed)
    jsonschema.validate(json.loads(result.text), SCHEMA)
    assert result.finish_reason == "stop"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("regex", DATE),
        ("gbnf", r"[1-9][0-9]?( \+ [1-9][0-9]?){1,3} = [1-9][0-9]?"),
        ("lark", r"[A-Z][a-z]{0,9}( [a-zé🙂]{1,8}){1,4}\.(\n[A-Z][a-z]{0,9}( [a-zé🙂]{1,8}){1,4}\.){1,2}"),
    ],
)
async def test_expressions_and_grammars_give_texts_of_theirs(
    engine_model: EngineModel, constraints: Constraints, kind: FormatKind, pattern: str, seed: int
) -> None:
    result = await sampled(engine_model, constraints, kind, seed)
    assert re.fullmatch(pattern, result.text)
    assert result.finish_reason == "stop"


async def test_seeds_give_different_texts_and_their_own_again(
    engine_model: EngineModel, constraints: Constraints
) -> None:
    texts = [(await sampled(engine_model, constraints, "lark", seed)).text for seed in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]


async def test_forced_tokens_take_no_step_of_their_own(engine_model: EngineModel, constraints: Constraints) -> None:
    engine, model = engine_model
    model.batches = []
    pattern = '\\{"the first of the names": "[a-z]+", "the last of the names": "[a-z]+"\\}'
    asked = request(tokens(model, "Names:"), 60)
    result = await run(engine, constrained(asked, compiled("regex", pattern, constraints)))
    steps, model.batches = len(model.batches), None
    assert re.fullmatch(pattern, result.text) or result.finish_reason == "length"
    assert steps < result.usage.completion_tokens - 8


async def test_a_constraint_that_allows_everything_changes_nothing(
    engine_model: EngineModel, constraints: Constraints
) -> None:
    engine, model = engine_model
    asked = request(tokens(model, "Once upon a time"), 24, sampling=SamplingParams(seed=5))
    free = await run(engine, asked)
    bound = await run(engine, constrained(asked, compiled("regex", "(?s:.*)", constraints)))
    assert bound.text == free.text


async def test_a_cached_prefix_gives_the_text_of_a_cold_start(
    engine_model: EngineModel, constraints: Constraints, real_model_path: Path, batch_size_changes_rounding: bool
) -> None:
    if batch_size_changes_rounding:
        pytest.skip("on this processor the size of a batch changes rounding")
    engine, model = engine_model
    prompt = tokens(model, "Here is what is known of a woman from the town of Lindisfarne, as JSON:")

    def asked() -> Constraint:
        return compiled("json_schema", SCHEMA, constraints)

    cold = await run(engine, constrained(request(prompt, 60), asked()))
    warm = await run(engine, constrained(request(prompt, 60), asked()))
    assert (cold.usage.cached_tokens < 5, warm.usage.cached_tokens) == (True, len(prompt) - 1)
    assert warm.text == cold.text


async def test_constrained_texts_are_the_same_alone_and_together(
    engine_model: EngineModel, constraints: Constraints, batch_size_changes_rounding: bool
) -> None:
    engine, model = engine_model
    kinds: tuple[FormatKind, ...] = ("json_schema", "regex", "gbnf")
    plain = request(tokens(model, "Once upon a time there was"), 30)
    asked = [request(tokens(model, PROMPTS[kind]), 40) for kind in kinds]

    def bound() -> list[Constraint]:
        return [compiled(kind, FORMATS[kind], constraints) for kind in kinds]

    alone = [await run(engine, constrained(each, own)) for each, own in zip(asked, bound(), strict=True)]
    alone.append(await run(engine, plain))
    together = await run_all(engine, *map(constrained, asked, bound()), plain)
    if not batch_size_changes_rounding:
        assert [result.text for result in together] == [result.text for result in alone]


async def test_with_log_probabilities_each_token_of_a_constrained_text_has_its_own(
    engine_model: EngineModel, constraints: Constraints
) -> None:
    engine, model = engine_model
    asked = replace(request(tokens(model, PROMPTS["json_schema"]), 80), top_logprobs=2)
    result = await run(engine, constrained(asked, compiled("json_schema", SCHEMA, constraints)))
    jsonschema.validate(json.loads(result.text), SCHEMA)
    assert b"".join(entry.sampled.piece for entry in result.logprobs).decode() == result.text
    assert len(result.logprobs) == result.usage.completion_tokens


VISIBLE = ("<jupyter_start>", "<repo_name>")


@pytest.fixture(scope="module")
def showing_model(real_model_path: Path) -> Iterator[LlamaModel]:
    """A model two of whose control tokens show; the other names are no control tokens."""
    names = (*VISIBLE, "the", "<none>")
    model = LlamaModel(real_model_path, ModelOptions(n_ctx=64, n_slots=1, n_threads=1, visible_tokens=names))
    yield model
    model.close()


def token_of(model: LlamaModel, name: str) -> int:
    (token,) = tokens(model, name)
    return token


def test_visible_tokens_show_by_their_names_and_other_control_tokens_do_not(
    showing_model: LlamaModel, model: LlamaModel
) -> None:
    assert showing_model.visible_tokens == frozenset(VISIBLE)
    for name in VISIBLE:
        token = token_of(showing_model, name)
        assert showing_model.token_bytes(token) == name.encode()
        assert model.token_bytes(token) == b""
    assert showing_model.token_bytes(token_of(showing_model, "<|im_start|>")) == b""
    assert showing_model.token_bytes(token_of(showing_model, "the")) == b"the"
    assert model.visible_tokens == frozenset()


def test_grammars_see_the_bytes_that_the_text_shows(showing_model: LlamaModel) -> None:
    tokenizer = showing_model.grammar_tokenizer()
    assert tokenizer.vocab_size == showing_model.n_vocab
    for token in range(showing_model.n_vocab):
        shown = showing_model.token_bytes(token)
        assert tokenizer.decode_bytes([token]) == (shown or tokenizer.decode_bytes([token]))
        assert tokenizer.is_special_token(token) is not bool(shown)


@pytest.mark.parametrize("pattern", ["(?s:.*)", ".*", "[^a]*", "[<|_a-z>]*", "<\\|im_start\\|>x*"])
def test_no_text_makes_a_hidden_control_token_allowed(showing_model: LlamaModel, pattern: str) -> None:
    constraint = constraint_for(showing_model, "regex", pattern)
    allowed = [int(token) for token in np.flatnonzero(constraint.allowed())]
    hidden = [token for token in allowed if not showing_model.token_bytes(token)]
    assert all(map(showing_model.is_eog, hidden))
    control = token_of(showing_model, "<|im_start|>")
    assert control not in allowed
    assert not constraint.allows(control)


def test_a_visible_token_is_allowed_where_its_name_is(showing_model: LlamaModel) -> None:
    token = token_of(showing_model, VISIBLE[0])
    constraint = constraint_for(showing_model, "regex", "(<jupyter_start>|[0-9])[0-9]")
    assert constraint.allows(token)
    assert constraint.allowed()[token]
    constraint.accept(token)
    assert not constraint.allows(token)


@pytest.mark.parametrize("after", ["[a-z]+", "(?s:.*)", "\\n", "!?"])
def test_a_visible_token_that_is_forced_is_not_spelled_out(showing_model: LlamaModel, after: str) -> None:
    own = Constraints(showing_model.grammar_tokenizer(), tuple(name.encode() for name in VISIBLE))
    constraint = compiled("lark", f'start: "so\\n<jupyter_start>" /{after}/', own)
    assert constraint.forced() == [*tokens(showing_model, "so\n"), token_of(showing_model, VISIBLE[0])]


def test_a_visible_token_is_allowed_where_it_is_one_of_two_texts_that_begin_alike(showing_model: LlamaModel) -> None:
    own = Constraints(showing_model.grammar_tokenizer(), tuple(name.encode() for name in VISIBLE))
    constraint = compiled("lark", 'start: "<jupyter_start>" | "<jupyter_text>"', own)
    assert constraint.forced() == []
    assert constraint.allowed()[token_of(showing_model, VISIBLE[0])]


def test_a_grammar_of_a_closed_model_may_still_be_compiled(real_model_path: Path) -> None:
    model = LlamaModel(real_model_path, ModelOptions(n_ctx=64, n_slots=1, n_threads=1))
    own = Constraints(model.grammar_tokenizer())
    model.close()
    # llguidance asks the vocabulary, which is freed, how it writes the text.
    constraint = compiled("regex", "hello world, this is [a-z]+", own)
    constraint.advance("hello")
    assert constraint.forced() == []
    with pytest.raises(EngineError, match="closed"):
        model.grammar_tokenizer()


def test_a_vocabulary_that_is_closed_while_grammars_learn_it_is_an_error(
    real_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LlamaModel(real_model_path, ModelOptions(n_ctx=64, n_slots=1, n_threads=1))
    entered: list[bool] = []
    reading = Readers.reading

    def closed_to_all_but_the_first(readers: Readers) -> AbstractContextManager[None]:
        if entered:
            raise EngineError("The model has been closed.")
        entered.append(True)
        return reading(readers)

    with monkeypatch.context() as patch:
        patch.setattr(Readers, "reading", closed_to_all_but_the_first)
        with pytest.raises(EngineError, match="vocabulary cannot be used"):
            model.grammar_tokenizer()
    model.close()
