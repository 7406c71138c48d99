from concurrent.futures import ThreadPoolExecutor

import llguidance
import numpy as np
import pytest

from mcp_llama.engine import constraint as module
from mcp_llama.engine.constraint import MAX_CACHED, Constraint, Constraints
from mcp_llama.errors import ConstraintError
from tests.engine.constraining import END, compiled, take, tokens
from tests.engine.matching import TOKENIZER
from tests.fake_model import FakeModel


def constraint(lark: str) -> Constraint:
    return compiled("lark", lark)


def allowed(constraint: Constraint) -> list[int]:
    return [int(token) for token in np.flatnonzero(constraint.allowed())]


def marked(lark: str, *markers: str) -> tuple[Constraint, list[int]]:
    """A constraint of a vocabulary of bytes and markers, and the markers' tokens."""
    model = FakeModel()
    pieces = [model.piece(marker) for marker in markers]
    constraints = Constraints(model.grammar_tokenizer(), tuple(marker.encode() for marker in markers))
    return compiled("lark", lark, constraints), pieces


@pytest.mark.parametrize("lark", ['start: "a"', "start: /a|bc?/", "start: /[^x]*/", 'start: "tru" /e?/'])
def test_the_mask_and_the_question_for_one_token_agree(lark: str) -> None:
    state = constraint(lark)
    assert allowed(state) == [token for token in range(TOKENIZER.vocab_size) if state.allows(token)]


def test_the_mask_covers_the_whole_vocabulary_and_no_more() -> None:
    assert constraint("start: /a*/").allowed().shape == (TOKENIZER.vocab_size,)


def test_accepting_moves_on_and_asking_does_not() -> None:
    state = constraint("start: /a(b|c)/")
    (a, b) = tokens("ab")
    assert state.allows(a)
    assert not state.allows(b)
    state.allowed()
    state.forced()
    state.accept(a)
    assert state.allows(b)
    assert not state.allows(a)


def test_a_token_that_may_not_be_next_is_an_error() -> None:
    with pytest.raises(ConstraintError, match="The grammar"):
        take(constraint('start: "ab"'), tokens("b"))


def test_a_text_is_complete_when_nothing_may_follow() -> None:
    state = constraint("start: /ab?/")
    assert not state.is_complete
    state.accept(tokens("a")[0])
    assert not state.is_complete
    assert END in allowed(state)
    state.accept(tokens("b")[0])
    assert state.is_complete


def test_the_models_own_end_completes_a_text_that_may_end() -> None:
    state = take(constraint("start: /a+/"), tokens("aa"))
    assert state.allows(END)
    state.accept(END)
    assert state.is_complete


def test_the_models_own_end_is_not_allowed_before_a_text_may_end() -> None:
    assert not take(constraint('start: "ab"'), tokens("a")).allows(END)


def test_what_must_follow_is_forced_up_to_the_next_choice() -> None:
    state = constraint('start: "for" ("ward" | "given")')
    assert state.forced() == tokens("for")
    assert take(state, state.forced()).forced() == []
    assert take(state, tokens("w")).forced() == tokens("ard")
    assert take(state, state.forced()).forced() == []
    assert state.is_complete


def test_forced_tokens_are_part_of_no_longer_token() -> None:
    # "tru" may go on to "true", which is one token.
    assert constraint('start: "tru" /e?/').forced() == []
    assert constraint('start: "tru" /x?/').forced() == tokens("tru")


def test_a_marker_in_forced_text_is_its_own_token() -> None:
    state, (marker,) = marked('start: "so <call> go"', "<call>")
    assert state.forced() == [*b"so ", marker]
    assert take(state, state.forced()).forced() == [*b" go"]


def test_the_first_of_two_markers_comes_first() -> None:
    state, (first, second) = marked('start: "<b><a>!"', "<b>", "<a>")
    assert state.forced() == [first]
    assert take(state, [first]).forced() == [second]
    assert take(state, [second]).forced() == [*b"!"]


@pytest.mark.parametrize("lark", ['start: "<call>" | "<cat>"', 'start: "<c" ("all>" | "x")', 'start: "so <" /[a-z>]+/'])
def test_forced_text_that_may_become_a_marker_is_left_to_the_model(lark: str) -> None:
    state, (marker,) = marked(lark, "<call>")
    assert state.forced() == []
    assert state.allows(marker) == bool(state.allowed()[marker])


def test_where_a_marker_is_forced_the_mask_allows_it() -> None:
    state, (call, cat) = marked('start: "<call>" | "<cat>"', "<call>", "<cat>")
    assert {call, cat} <= set(allowed(state))


def test_a_marker_of_several_tokens_is_text_like_any_other() -> None:
    constraints = Constraints(FakeModel().grammar_tokenizer(), (b"<call>",))
    assert compiled("lark", 'start: "<call>"', constraints).forced() == [*b"<call>"]


@pytest.mark.parametrize(("text", "fit"), [("", True), ("ab", True), ("abab", True), ("aba", True), ("abb", False)])
def test_a_text_that_is_there_already_is_taken_in_or_does_not_fit(text: str, fit: bool) -> None:
    assert constraint('start: ("ab")+').advance(text) is fit


def test_the_text_goes_on_after_what_is_there() -> None:
    state = constraint('start: "abcd"')
    assert state.advance("abc")
    assert state.forced() == tokens("d")


def test_a_closed_constraint_has_no_matcher() -> None:
    state = constraint('start: "a"')
    assert not state.is_closed
    state.close()
    assert state.is_closed


def test_a_grammar_that_allows_no_text_says_so() -> None:
    with pytest.raises(ConstraintError, match="Give it an end"):
        constraint("start: start").allowed()


def test_a_grammar_without_an_end_goes_on() -> None:
    assert allowed(take(constraint('start: a\na: "x" a'), tokens("xx"))) == tokens("x")


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every grammar that llguidance compiles."""
    seen: list[str] = []

    def matcher(tokenizer: llguidance.LLTokenizer, grammar: str, **options: object) -> llguidance.LLMatcher:
        seen.append(grammar)
        return llguidance.LLMatcher(tokenizer, grammar, log_level=0)

    monkeypatch.setattr(module, "LLMatcher", matcher)
    return seen


def test_a_grammar_is_compiled_once(compilations: list[str]) -> None:
    constraints = Constraints(TOKENIZER)
    for _ in range(3):
        compiled("regex", "a+", constraints)
    compiled("regex", "b+", constraints)
    assert len(compilations) == 2


def test_each_constraint_has_a_state_of_its_own() -> None:
    constraints = Constraints(TOKENIZER)
    first = take(compiled("regex", "abc", constraints), tokens("ab"))
    second = compiled("regex", "abc", constraints)
    first.close()
    assert second.forced() == tokens("abc")


def test_only_the_last_used_grammars_are_kept(compilations: list[str]) -> None:
    constraints = Constraints(TOKENIZER)
    for index in range(MAX_CACHED):
        compiled("regex", f"a{{{index + 1}}}", constraints)
    compiled("regex", "a{1}", constraints)
    assert len(compilations) == MAX_CACHED
    compiled("regex", "b", constraints)
    compiled("regex", "a{1}", constraints)
    assert len(compilations) == MAX_CACHED + 1
    compiled("regex", "a{2}", constraints)
    assert len(compilations) == MAX_CACHED + 2


def test_a_grammar_that_does_not_compile_is_not_kept() -> None:
    constraints = Constraints(TOKENIZER)
    for _ in range(2):
        with pytest.raises(ValueError, match="no start rule"):
            constraints.compile('{"grammars": [{"lark_grammar": "x: y"}]}')


def test_many_threads_may_compile_at_once() -> None:
    constraints = Constraints(TOKENIZER)

    def compile_one(index: int) -> Constraint:
        return compiled("regex", f"x{index % 40}", constraints)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(compile_one, range(200)))
    assert all(state.forced() == tokens(f"x{index % 40}") for index, state in enumerate(made))
