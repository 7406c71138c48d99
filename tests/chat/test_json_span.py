import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.chat.json_span import JsonSpan
from tests.chat.answers import cut
from tests.chat.work import lines_run

_TEXT = st.text(st.sampled_from('ab"\\{}[]é\n '), max_size=6)
OBJECTS = st.dictionaries(
    _TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(OBJECTS, st.sampled_from(["", "}", '"', "\\", ', {"a": 1}', "}]}"]), st.booleans(), st.integers(0, 2**32))
def test_an_object_ends_with_its_last_brace_however_it_is_split(
    value: object, rest: str, spaced: bool, seed: int
) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1 if spaced else None)
    for pieces in (cut(text + rest, random.Random(seed)), list(text + rest), [text + rest]):
        span, before = JsonSpan(), 0
        for piece in pieces:
            end = span.push(piece)
            if end is not None:
                assert before + end == len(text)
                break
            before += len(piece)
        else:
            pytest.fail("the object has no end")


@pytest.mark.parametrize("text", ["", "{", '{"a}', '{"a\\"}', '{"a": [}', '{"a": {"b": 1}', '{"}": "]"'])
def test_an_object_that_is_not_closed_goes_on(text: str) -> None:
    span = JsonSpan()
    assert [span.push(char) for char in text] == [None] * len(text)
    assert JsonSpan().push(text) is None


def test_each_character_is_looked_at_once() -> None:
    def work(length: int) -> Callable[[], object]:
        span, text = JsonSpan(), '{"a": "' + "x" * length
        return lambda: [span.push(char) for char in text]

    assert lines_run(work(2_000)) < 2.2 * lines_run(work(1_000))
