"""When the log probabilities of a completion are let go, without an engine."""

import codecs

from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.api import RankedToken, TokenLogprob
from mcp_llama.engine.logprobs import HeldLogprobs, read_logprob
from mcp_llama.engine.model import Rows
from mcp_llama.engine.sequence import Sequence
from mcp_llama.engine.types import TokenDelta
from tests.engine.sequences import GREEDY, sequence
from tests.fake_model import BOS, EOG, FakeModel

tokens = st.lists(
    st.sampled_from([b"", b"a", b"b", b"ab", "🙂".encode(), b"\xf0\x9f", b"\x99\x82", b"\xff"]), max_size=12
)
stops = st.lists(st.text("ab🙂", min_size=1, max_size=4), max_size=2)


def entry(token: int, offset: int) -> TokenLogprob:
    return TokenLogprob(RankedToken(token, b"", -1.0), (), offset)


def offsets(pieces: list[bytes]) -> list[int]:
    """How many characters are complete before each piece."""
    decoder = codecs.getincrementaldecoder("utf-8")
    return [len(decoder("replace").decode(b"".join(pieces[:count]))) for count in range(len(pieces))]


def say(speaker: Sequence, pieces: list[bytes]) -> list[TokenDelta]:
    """The deltas of a sequence that samples these pieces, up to a stop string if one is in them, and the last one."""
    deltas: list[TokenDelta] = []
    for token, piece in enumerate(pieces):
        speaker.logprobs.add(entry(token, speaker.detokenizer.decoded))
        text = speaker.detokenizer.push(piece)
        if speaker.detokenizer.matched is not None:
            return [*deltas, speaker.delta(text + speaker.detokenizer.flush(), speaker.finish("stop"))]
        deltas.append(speaker.delta(text))
    return [*deltas, speaker.delta(speaker.detokenizer.flush(), speaker.finish("length"))]


@given(tokens, stops)
def test_each_entry_comes_once_and_with_the_text_that_its_token_begins(pieces: list[bytes], stop: list[str]) -> None:
    deltas = say(sequence("x", stop=stop, top_logprobs=0), pieces)
    length = 0
    for delta in deltas[:-1]:
        assert all(length <= each.offset < length + len(delta.text) for each in delta.logprobs)
        length += len(delta.text)
    released = [each.sampled.token for delta in deltas for each in delta.logprobs]
    assert released == list(range(len(released)))
    assert all(length <= each.offset for each in deltas[-1].logprobs)


@given(tokens, stops)
def test_only_what_a_stop_string_takes_away_has_no_entries(pieces: list[bytes], stop: list[str]) -> None:
    speaker = sequence("x", stop=stop, top_logprobs=0)
    deltas = say(speaker, pieces)
    text = "".join(delta.text for delta in deltas)
    entries = [each for delta in deltas for each in delta.logprobs]
    if speaker.detokenizer.matched is None:
        assert len(entries) == len(pieces)
    else:
        begun = [offset for offset in offsets(pieces) if offset < len(text)]
        assert [each.offset for each in entries] == begun


@given(tokens, stops)
def test_merged_deltas_have_what_they_had_one_by_one(pieces: list[bytes], stop: list[str]) -> None:
    first, *later = say(sequence("x", stop=stop, top_logprobs=0), pieces)
    merged = first
    for delta in later:
        merged = merged.merged(delta)
    assert merged.text == "".join(delta.text for delta in (first, *later))
    assert merged.logprobs == tuple(each for delta in (first, *later) for each in delta.logprobs)


@given(tokens, stops)
def test_nothing_is_let_go_unless_it_was_asked_for(pieces: list[bytes], stop: list[str]) -> None:
    assert not any(delta.logprobs for delta in say(sequence("x", stop=stop), pieces))


def test_entries_are_held_until_their_text_is_returned() -> None:
    held = HeldLogprobs()
    entries = [entry(0, 0), entry(1, 1), entry(2, 1), entry(3, 4)]
    for each in entries:
        held.add(each)
    assert [held.release(returned) for returned in (0, 1, 1, 2, 3)] == [
        (),
        (entries[0],),
        (),
        (entries[1], entries[2]),
        (),
    ]
    assert (held.release_all(), held.release_all()) == ((entries[3],), ())


def test_an_entry_names_its_tokens() -> None:
    model = FakeModel(n_slots=1)
    model.decode(Rows([65], [0], [0], [True]))
    model.sampler(GREEDY, (65,)).close()
    read = read_logprob(model, row=0, token=EOG, top=2, offset=7)
    assert (read.sampled.token, read.sampled.piece, read.offset) == (EOG, b"</s>", 7)
    assert [(other.token, other.piece) for other in read.top] == [(EOG, b"</s>"), (BOS, b"<s>")]
