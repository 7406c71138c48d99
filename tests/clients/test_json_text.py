"""Entries in JSON, with comments and without: whatever else is in a file stays, to the byte."""

import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.json_text import Document, JsonFormat
from mcp_llama.clients.shapes import Entry
from mcp_llama.clients.target import Target
from tests.clients.splices import ENTRY, TARGET, is_insertion_behind_a_comma

JSON = JsonFormat(comments=False)
JSONC = JsonFormat(comments=True)

SPACES = st.text(" \t\n", max_size=3)
COMMENTS = st.sampled_from(["", "", '/* a, { " // */', '// "b": [1,\n', "/**/", "//\r\n"])
KEYS = st.text(st.characters(codec="utf-8"), max_size=5).filter(lambda key: key != TARGET.container)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
ENTRIES = st.dictionaries(KEYS.filter(lambda key: key != TARGET.name), VALUES, max_size=3)


@st.composite
def written(draw: st.DrawFn, value: object, *, comments: bool) -> str:
    """A value as some person may have written it down."""

    def gap() -> str:
        return draw(SPACES) + (draw(COMMENTS) if comments else "") + draw(SPACES)

    def items(parts: list[str], ends: str) -> str:
        trailing = "," if comments and parts and draw(st.booleans()) else ""
        return f"{ends[0]}{gap()}{f'{gap()},{gap()}'.join(parts)}{gap()}{trailing}{gap()}{ends[1]}"

    def write(value: object) -> str:
        if isinstance(value, dict):
            pairs = cast(dict[str, object], value).items()
            return items([f"{quoted(key)}{gap()}:{gap()}{write(inner)}" for key, inner in pairs], "{}")
        if isinstance(value, list):
            return items([write(inner) for inner in cast(list[object], value)], "[]")
        return quoted(value)

    def quoted(value: object) -> str:
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    return gap() + write(value) + gap()


@st.composite
def documents(draw: st.DrawFn, *, comments: bool, with_entry: bool) -> tuple[str, dict[str, Any]]:
    """A document that has the entry of another server, or none, and what it says."""
    data = draw(ENTRIES)
    if with_entry or draw(st.booleans()):
        servers = draw(ENTRIES)
        if with_entry:
            servers[TARGET.name] = draw(VALUES.filter(lambda value: value != ENTRY))
        data = dict(draw(st.permutations([*data.items(), (TARGET.container, servers)])))
    return draw(written(data, comments=comments)), data


def with_entry(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, TARGET.container: {**data.get(TARGET.container, {}), TARGET.name: ENTRY}}


def check_added(language: JsonFormat, text: str, data: dict[str, Any]) -> None:
    merged = language.merge(text, TARGET, ENTRY)
    assert is_insertion_behind_a_comma(text, merged)
    assert language.merge(merged, TARGET, ENTRY) == merged
    if language is JSON:
        assert json.loads(merged) == with_entry(data)


@settings(deadline=None)
@given(documents(comments=False, with_entry=False))
def test_an_entry_is_added_and_nothing_else_is_touched(document: tuple[str, dict[str, Any]]) -> None:
    check_added(JSON, *document)


@settings(deadline=None)
@given(documents(comments=True, with_entry=False))
def test_an_entry_is_added_between_comments_and_nothing_else_is_touched(
    document: tuple[str, dict[str, Any]],
) -> None:
    check_added(JSONC, *document)


@pytest.mark.parametrize("language", [JSON, JSONC], ids=["json", "jsonc"])
@settings(deadline=None)
@given(data=st.data())
def test_the_entry_of_the_same_name_is_replaced_in_its_place(language: JsonFormat, data: st.DataObject) -> None:
    text, _ = data.draw(documents(comments=language is JSONC, with_entry=True))
    merged = language.merge(text, TARGET, ENTRY)
    mark = "\N{PILE OF POO}" * 6
    # The same place, found by an entry that is nowhere else in the text.
    head, tail = language.merge(text, TARGET, {"mark": mark}).split(mark)
    start, end = head.rindex("{"), tail.index("}")
    assert merged.startswith(head[:start])
    assert merged.endswith(tail[end + 1 :])
    assert text.startswith(head[:start])
    assert text.endswith(tail[end + 1 :])
    assert language.merge(merged, TARGET, ENTRY) == merged


LAYOUTS = {
    "an empty file": ("", '{\n  "mcpServers": {\n    "mcp-llama": 1\n  }\n}\n'),
    "an empty object": ("{}\n", '{\n  "mcpServers": {\n    "mcp-llama": 1\n  }\n}\n'),
    "comments alone": ("// Mine", '// Mine\n{\n  "mcpServers": {\n    "mcp-llama": 1\n  }\n}\n'),
    "four spaces": (
        '{\n    "a": 1,\n    "mcpServers": {}\n}',
        '{\n    "a": 1,\n    "mcpServers": {\n        "mcp-llama": 1\n    }\n}',
    ),
    "tabs and the line ends of Windows": (
        '{\r\n\t"mcpServers": {\r\n\t\t"b": 2\r\n\t}\r\n}\r\n',
        '{\r\n\t"mcpServers": {\r\n\t\t"b": 2,\r\n\t\t"mcp-llama": 1\r\n\t}\r\n}\r\n',
    ),
    "comments at the end": (
        '{\n  "a": 1 // one\n  // last\n}',
        '{\n  "a": 1, // one\n  // last\n  "mcpServers": {\n    "mcp-llama": 1\n  }\n}',
    ),
    "a trailing comma": (
        '{\n  "mcpServers": {\n    "b": 2, // two\n  },\n}',
        '{\n  "mcpServers": {\n    "b": 2, // two\n    "mcp-llama": 1\n  },\n}',
    ),
    "one line": ('{"a": 1}', '{"a": 1, "mcpServers": {"mcp-llama": 1}}'),
    "one line with nothing in it": ('{"mcpServers":{}}', '{"mcpServers":{"mcp-llama": 1}}'),
    "a depth of its own": (
        '{\n  "mcpServers": {\n        "b": 2\n  }\n}',
        '{\n  "mcpServers": {\n        "b": 2,\n        "mcp-llama": 1\n  }\n}',
    ),
    "one line in many": (
        '{\n  "mcpServers": { "b": {} }\n}',
        '{\n  "mcpServers": { "b": {}, "mcp-llama": 1 }\n}',
    ),
}


@pytest.mark.parametrize(("before", "after"), LAYOUTS.values(), ids=LAYOUTS)
def test_an_entry_is_written_as_the_file_around_it(before: str, after: str) -> None:
    entry: Any = 1
    assert JSONC.merge(before, TARGET, entry) == after


def test_a_replaced_entry_is_indented_as_the_old_one() -> None:
    text = '{\n   "mcpServers": {\n      "mcp-llama": {"command": "x"} // mine\n   }\n}'
    assert JSONC.merge(text, TARGET, {"command": "/b"}) == (
        '{\n   "mcpServers": {\n      "mcp-llama": {\n         "command": "/b"\n      } // mine\n   }\n}'
    )


def test_a_document_of_one_line_stays_one_when_an_entry_is_replaced() -> None:
    assert JSON.merge('{"mcpServers":{"mcp-llama":{}},"a":1}', TARGET, {"b": 2}) == (
        '{"mcpServers":{"mcp-llama":{"b": 2}},"a":1}'
    )


def test_the_same_entry_written_otherwise_is_left_as_it_is() -> None:
    text = '{"mcpServers": {"mcp-llama": { "a" :\n"\\u00e4" }}}'
    assert JSON.merge(text, TARGET, {"a": "ä"}) == text


def test_an_outcome_that_says_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(document: Document, target: Target, entry: Entry) -> str:
        return '{"mcpServers": {"mcp-llama": 1}}'

    monkeypatch.setattr(Document, "with_entry", spoilt)
    with pytest.raises(MergeError, match="nothing can be added without touching more"):
        JSON.merge('{"a": 1}', TARGET, {"b": 2})


def test_numbers_and_truth_values_are_not_the_same_entry() -> None:
    text = JSON.render(TARGET, {"on": 1})
    assert JSON.merge(text, TARGET, {"on": True}) == JSON.render(TARGET, {"on": True})


DAMAGED = [
    (JSON, '{"a": 1,}', "line 1, column 9 is not JSON"),
    (JSON, "{\n // no\n}", "line 2, column 2 is not JSON"),
    (JSONC, '{\n  "a": 1\n  "b": 2\n}', "line 3, column 3 is not JSON: Expecting ',' delimiter"),
    (JSONC, '{"a": "b', "line 1, column 7 is not JSON"),
    (JSONC, "{} /* no end", "line 1, column 4 is not JSON"),
    (JSONC, "{} {}", "line 1, column 4 is not JSON"),
    (JSONC, '{"a": NaN}', "it is not JSON: NaN is no number of JSON"),
    (JSONC, f'{{"a": {"1" * 5000}}}', "it is not JSON"),
    (JSONC, "[]", "it is JSON, but not an object"),
    (JSONC, '{"mcpServers": []}', "mcpServers in it is no table of entries"),
    (JSONC, '{"mcpServers": {},\n"mcpServers": {}}', "line 2 has the key 'mcpServers' a second time"),
    (JSONC, '{"mcpServers": {"mcp-llama": 1, "mcp-llama": 2}}', "line 1 has the key 'mcp-llama' a second time"),
]


@pytest.mark.parametrize(("language", "text", "said"), DAMAGED)
def test_a_damaged_document_is_refused_with_the_place(language: JsonFormat, text: str, said: str) -> None:
    with pytest.raises(MergeError) as caught:
        language.merge(text, TARGET, ENTRY)
    assert str(caught.value).startswith(said)


def test_a_container_that_is_null_is_filled() -> None:
    text = '{\n  "a": 1,\n  "mcpServers": null // none yet\n}'
    assert JSONC.merge(text, TARGET, {"b": 2}) == (
        '{\n  "a": 1,\n  "mcpServers": {\n    "mcp-llama": {\n      "b": 2\n    }\n  } // none yet\n}'
    )
