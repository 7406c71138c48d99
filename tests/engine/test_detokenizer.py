import codecs
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.detokenizer import Detokenizer

SCRIPTS = "aé中🙂\u0301ш𐍈"
PARTS = (b"a", b"b", "🙂".encode(), b"\xf0\x9f", b"\xff")
stops = st.lists(st.text("ab🙂", min_size=1, max_size=5), max_size=3)


def pieces(raw: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    ends = sorted({min(cut, len(raw)) for cut in cuts} | {len(raw)})
    for start, end in zip([0, *ends], ends, strict=False):
        yield raw[start:end]


def detokenized(raw: Iterable[bytes], stop: Iterable[str] = ()) -> tuple[str, str | None]:
    detokenizer = Detokenizer(stop)
    text = "".join([*map(detokenizer.push, raw), detokenizer.flush()])
    return text, detokenizer.matched


def naive(text: str, stop: list[str]) -> tuple[str, str | None]:
    for end in range(len(text) + 1):
        matched = max((s for s in stop if text[:end].endswith(s)), key=len, default=None)
        if matched is not None:
            return text[: end - len(matched)], matched
    return text, None


@given(st.binary(max_size=40), st.lists(st.integers(0, 40)), stops)
def test_the_outcome_does_not_depend_on_how_bytes_are_split(raw: bytes, cuts: list[int], stop: list[str]) -> None:
    assert detokenized(pieces(raw, cuts), stop) == detokenized([raw], stop)


@given(st.text("ab🙂", max_size=30), st.lists(st.integers(0, 120)), stops)
def test_text_ends_before_the_stop_string_that_completes_first(text: str, cuts: list[int], stop: list[str]) -> None:
    assert detokenized(pieces(text.encode(), cuts), stop) == naive(text, stop)


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=3))
def test_no_part_of_a_stop_string_is_returned_before_it_matches(text: str, stop: list[str]) -> None:
    detokenizer = Detokenizer(stop)
    returned = ""
    for letter in text:
        returned += detokenizer.push(letter.encode())
        assert text.startswith(returned)
        if detokenizer.matched is not None:
            assert returned + detokenizer.matched == text[: len(returned + detokenizer.matched)]
            return


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=6), min_size=1, max_size=3))
def test_only_what_may_begin_a_stop_string_is_held_back(text: str, stop: list[str]) -> None:
    detokenizer = Detokenizer(stop)
    returned = detokenizer.push(text.encode())
    held = detokenizer.flush()
    if detokenizer.matched is None:
        assert returned + held == text
        assert not held or any(s.startswith(held) for s in stop)


@given(st.text(SCRIPTS, max_size=20), st.lists(st.integers(0, 80)))
def test_valid_text_split_anywhere_never_shows_a_replacement_character(text: str, cuts: list[int]) -> None:
    assert detokenized(pieces(text.encode(), cuts)) == (text, None)


@given(st.lists(st.sampled_from(PARTS), max_size=20).map(b"".join), st.lists(st.integers(0, 40)), stops)
def test_what_is_returned_and_decoded_is_counted(raw: bytes, cuts: list[int], stop: list[str]) -> None:
    detokenizer = Detokenizer(stop)
    text, taken = "", b""
    for piece in pieces(raw, cuts):
        text += detokenizer.push(piece)
        taken += piece
        complete = len(codecs.getincrementaldecoder("utf-8")("replace").decode(taken))
        assert detokenizer.returned == len(text) <= detokenizer.decoded <= complete
        assert detokenizer.decoded == complete or detokenizer.matched is not None
    text += detokenizer.flush()
    assert detokenizer.returned == len(text) <= detokenizer.decoded
    assert detokenizer.returned == detokenizer.decoded or detokenizer.matched is not None


@given(st.text("ab🙂", max_size=30), st.lists(st.integers(0, 120)), stops)
def test_the_count_of_decoded_characters_does_not_wait_for_stop_strings(
    text: str, cuts: list[int], stop: list[str]
) -> None:
    patient, plain = Detokenizer(stop), Detokenizer()
    for piece in pieces(text.encode(), cuts):
        patient.push(piece)
        plain.push(piece)
        assert patient.decoded == plain.decoded or patient.matched is not None


def test_a_character_is_returned_with_its_last_byte() -> None:
    detokenizer = Detokenizer()
    assert [detokenizer.push(bytes([byte])) for byte in "🙂é".encode()] == ["", "", "", "🙂", "", "é"]


def test_text_without_stop_strings_is_returned_at_once() -> None:
    assert Detokenizer().push(b"every token counts") == "every token counts"


def test_bytes_of_an_unfinished_last_character_are_dropped() -> None:
    assert detokenized(["end🙂".encode()[:-1]]) == ("end", None)


def test_bytes_that_are_no_text_become_a_replacement_character() -> None:
    assert detokenized([b"a\xff", b"b\xf0\x9f", b"c"]) == ("a\ufffdb\ufffdc", None)


def test_a_stop_string_is_found_across_tokens() -> None:
    detokenizer = Detokenizer(["\n\nUser:"])
    assert [detokenizer.push(piece) for piece in (b"Bye.", b"\n", b"\nUs", b"er: more")] == ["Bye.", "", "", ""]
    assert detokenizer.matched == "\n\nUser:"


def test_nothing_is_returned_after_a_match() -> None:
    detokenizer = Detokenizer(["."])
    assert [detokenizer.push(b"one. two"), detokenizer.push(b" three"), detokenizer.flush()] == ["one", "", ""]


def test_text_held_back_in_vain_is_returned_later() -> None:
    detokenizer = Detokenizer(["</end>"])
    assert [detokenizer.push(b"x</e"), detokenizer.push(b"m>"), detokenizer.flush()] == ["x", "</em>", ""]


def test_text_held_back_at_the_end_is_flushed() -> None:
    detokenizer = Detokenizer(["</end>"])
    assert [detokenizer.push(b"x</en"), detokenizer.flush(), detokenizer.matched] == ["x", "</en", None]


@pytest.mark.parametrize(
    ("text", "stop", "outcome"),
    [
        ("xabcd", ["bc", "abcd"], ("xa", "bc")),
        ("xabcd", ["abc", "bc"], ("x", "abc")),
        ("xaab", ["ab"], ("xa", "ab")),
        ("abab", ["b", "abab"], ("a", "b")),
        ("x中文🙂", ["文🙂", "🙂"], ("x中", "文🙂")),
    ],
)
def test_of_overlapping_stop_strings_the_first_to_complete_wins(
    text: str, stop: list[str], outcome: tuple[str, str | None]
) -> None:
    raw = text.encode()
    assert detokenized([raw], stop) == outcome
    assert detokenized([bytes([byte]) for byte in raw], stop) == outcome
