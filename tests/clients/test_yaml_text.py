"""Entries in YAML, in a mapping and in a list: whatever else is in a file stays, to the byte."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.target import Target
from mcp_llama.clients.yaml_text import YamlFormat
from mcp_llama.clients.yaml_tree import load
from tests.clients.splices import ENTRY, is_one_insertion

GOOSE = Target(container="extensions", name="mcp-llama")
CONTINUE = Target(container="mcpServers", name="mcp-llama", listed=True, preamble="name: Local\n")
ITEM: dict[str, object] = {"name": "mcp-llama", **ENTRY}
YAML = YamlFormat()

VALUES = [
    ' "x" # why',
    "",
    " a: b".replace(":", ";"),
    " |\n{}  two\n\n{}  lines\n",
    " >-\n{}  folded # no comment",
    " [1, {{a: b}},\n{}  c] # flow",
    "\n{}  deep: 1\n{}  # inner\n{}  deeper:\n{}  - a\n{}  -   b: 1\n{}      c: 2",
    " 'it''s'",
    " &anchor 1",
]
COMMENTS = ["", "{}# at its depth", "# at the left", "\n{}# after a gap", "{} # deeper"]
TOPS = ["# about all\n---\n", "", "name: Mine # here\n\n", "long: >\n  text\n\nlist:\n- 1\n-   two: 2\n"]
TAILS = ["", "\n# the end\n", "other: {}\n", "\nother:\n    - a # b\n\n# end", "other: |+\n  x\n\n"]


@st.composite
def mappings(draw: st.DrawFn, *, own: bool) -> tuple[str, str, str]:
    """A document in three parts: what is before an entry or where one goes, that entry, and what is behind."""
    width = draw(st.sampled_from([1, 2, 4]))
    indent = " " * width

    def one(name: str) -> str:
        value = draw(st.sampled_from(VALUES)).replace("{}", indent).replace("{{", "{").replace("}}", "}")
        return f"{indent}{name}:{value}\n"

    def comment() -> str:
        chosen = draw(st.sampled_from(COMMENTS))
        return f"{chosen.replace('{}', indent)}\n" if chosen else ""

    names = draw(st.lists(st.sampled_from(["a", "b b", '"c"', "4"]), unique=True, max_size=3, min_size=not own))
    before = draw(st.sampled_from(TOPS)) + "extensions:" + draw(st.sampled_from(["", " # mine"])) + "\n"
    before += "".join(comment() + one(name) for name in names)
    behind = draw(st.sampled_from(TAILS))
    if own:
        before += comment()
        behind = comment() + one("z") + behind if draw(st.booleans()) else behind
        return before, one("mcp-llama"), behind
    return before, "", comment() + behind


@settings(deadline=None)
@given(mappings(own=False))
def test_an_entry_is_added_to_a_mapping_and_nothing_else_is_touched(parts: tuple[str, str, str]) -> None:
    text = "".join(parts)
    merged = YAML.merge(text, GOOSE, ENTRY)
    assert is_one_insertion(text, merged if text.endswith("\n") else merged.removesuffix("\n"))
    data: dict[str, Any] = load(text) or {}
    assert load(merged) == {**data, "extensions": {**data["extensions"], "mcp-llama": ENTRY}}
    assert YAML.merge(merged, GOOSE, ENTRY) == merged


@settings(deadline=None)
@given(mappings(own=True))
def test_the_entry_of_the_same_name_is_replaced_in_its_place(parts: tuple[str, str, str]) -> None:
    before, _, behind = parts
    merged = YAML.merge("".join(parts), GOOSE, ENTRY)
    assert merged.startswith(before)
    assert merged.endswith(behind)
    data: dict[str, Any] = load("".join(parts)) or {}
    assert load(merged) == {**data, "extensions": {**data["extensions"], "mcp-llama": ENTRY}}
    assert YAML.merge(merged, GOOSE, ENTRY) == merged


@pytest.mark.parametrize("indent", ["", "  ", "    "])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_item_is_added_to_a_list_at_its_depth(indent: str, newline: str) -> None:
    head = f"a: 1\nmcpServers: # mine\n{indent}- name: b\n{indent}  c: 2 # two\n{indent} # inner\n".replace(
        "\n", newline
    )
    tail = "z: 1\n".replace("\n", newline)
    item = f"{indent}- name: mcp-llama\n{indent}  d: 3\n".replace("\n", newline)
    merged = YAML.merge(head + tail, CONTINUE, {"name": "mcp-llama", "d": 3})
    assert merged == head + item + tail


def test_the_item_of_the_same_name_is_replaced_in_its_place() -> None:
    text = "mcpServers:\n  - name: a\n  -   old: 1\n      name: mcp-llama # x\n  # about b\n  - name: b\n"
    assert YAML.merge(text, CONTINUE, {"name": "mcp-llama", "d": 3}) == (
        "mcpServers:\n  - name: a\n  -   name: mcp-llama\n      d: 3 # x\n  # about b\n  - name: b\n"
    )


LAYOUTS = {
    "an empty file": ("", "name: Local\nmcpServers:\n- name: mcp-llama\n", CONTINUE),
    "comments alone": ("# Mine", "# Mine\nname: Local\nmcpServers:\n- name: mcp-llama\n", CONTINUE),
    "no container": ("a: 1", "a: 1\nmcpServers:\n- name: mcp-llama\n", CONTINUE),
    "an empty list": ("mcpServers: [] # none\nb: 1\n", "mcpServers: # none\n- name: mcp-llama\nb: 1\n", CONTINUE),
    "a list in brackets": (
        "mcpServers: [ {name: a} ]\n",
        'mcpServers: [ {name: a}, {"name": "mcp-llama"}]\n',
        CONTINUE,
    ),
    "an item in brackets": (
        "mcpServers: [{name: mcp-llama, b: 1}, {name: c}]",
        'mcpServers: [{"name": "mcp-llama"}, {name: c}]',
        CONTINUE,
    ),
    "an item of nothing": (
        "mcpServers:\n- name: a\n-\nb: 1\n",
        "mcpServers:\n- name: a\n-\n- name: mcp-llama\nb: 1\n",
        CONTINUE,
    ),
    "nothing": ("extensions:\nb: 1\n", "extensions:\n  mcp-llama:\n    name: mcp-llama\nb: 1\n", GOOSE),
    "null": ("extensions: ~ # none", "extensions: # none\n  mcp-llama:\n    name: mcp-llama\n", GOOSE),
    "braces": (
        "extensions: {a: {b: 1}}\nb: 1\n",
        'extensions: {a: {b: 1}, "mcp-llama": {"name": "mcp-llama"}}\nb: 1\n',
        GOOSE,
    ),
    "an entry in braces": (
        "extensions: {mcp-llama: {b: 1}, c: {}}\n",
        'extensions: {mcp-llama: {"name": "mcp-llama"}, c: {}}\n',
        GOOSE,
    ),
}


@pytest.mark.parametrize(("before", "after", "target"), LAYOUTS.values(), ids=LAYOUTS)
def test_an_entry_is_written_as_the_file_around_it(before: str, after: str, target: Target) -> None:
    assert YAML.merge(before, target, {"name": "mcp-llama"}) == after
    assert YAML.merge(after, target, {"name": "mcp-llama"}) == after


def test_words_that_mean_something_in_yaml_stay_words() -> None:
    entry: dict[str, object] = {"args": ["no", "1.5", "null", "a: b", "#c", "- d", "C:\\e", "x" * 300 + " y"]}
    text = YAML.merge("", GOOSE, entry)
    assert load(text) == {"extensions": {"mcp-llama": entry}}
    assert f"{'x' * 300} y\n" in text


def test_the_same_entry_written_otherwise_is_left_as_it_is() -> None:
    text = "extensions: {'mcp-llama': {b: 0x2}} # mine\n"
    assert YAML.merge(text, GOOSE, {"b": 2}) == text


@pytest.mark.parametrize(
    ("target", "text", "said"),
    [
        (GOOSE, "a: b: c\n", "line 1, column 5 is not YAML: mapping values are not allowed here"),
        (GOOSE, "a: 1\na: 2\n", "line 2, column 1 is not YAML"),
        (GOOSE, "a: 1\n---\nb: 1\n", "line 2, column 1 is not YAML: but found another document"),
        (GOOSE, "- a\n", "it is YAML, but not a mapping"),
        (GOOSE, "{a: 1}\n", "it is written in one pair of braces"),
        (GOOSE, "extensions: 1\n", "extensions in it is no table of entries"),
        (CONTINUE, "mcpServers: {a: 1}\n", "mcpServers in it is no list of entries"),
        (
            CONTINUE,
            "mcpServers: [{name: mcp-llama}, {name: mcp-llama}]\n",
            "mcpServers in it has 2 entries 'mcp-llama'",
        ),
        (GOOSE, "extensions:\n  a: &x\n    b: 1\n  c: *x\n", "its last entry is an alias"),
        (GOOSE, "a: 1\n...\n", "it is written in a way"),
        (GOOSE, "extensions:\n  mcp-llama: &x\n    b: 1\n  c: *x\n", "it is written in a way"),
    ],
)
def test_what_cannot_be_spliced_is_refused_with_the_place(target: Target, text: str, said: str) -> None:
    with pytest.raises(MergeError) as caught:
        YAML.merge(text, target, {"name": "mcp-llama"})
    assert str(caught.value).startswith(said)
