"""Entries in TOML: a table is added or replaced, and all around it stays, to the byte."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_llama.clients.failure import MergeError
from mcp_llama.clients.target import Target
from mcp_llama.clients.toml_text import TomlFormat
from tests.clients.splices import ENTRY

TARGET = Target(container="mcp_servers", name="mcp-llama")
TOML = TomlFormat()
RENDERED = "[mcp_servers.mcp-llama]\nb = 2\n"
NEW: dict[str, object] = {"b": 2}

LINES = [
    "# a [comment]",
    "",
    "   ",
    'a = "x" # why',
    "b=1",
    'c = """\n[mcp_servers.mcp-llama]\n# no comment"""',
    "d = [\n  [1], # one\n\n# two\n]",
    "e.f = 1979-05-27",
    "g = '''\n\n# '''",
]
HEADERS = ["[t]", " [ u . v ] # u", "[[w]]", "[mcp_servers.other]", '[mcp_servers."a.b"]', "[mcp_servers.other.env]"]
OWN = ["[mcp_servers.mcp-llama]", '[ mcp_servers . "mcp-llama" ] # mine', "[mcp_servers.'mcp-llama'.env]"]


def table(header: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(LINES), unique=True, max_size=4).map(lambda lines: "\n".join([header, *lines]))


def texts(headers: list[str]) -> st.SearchStrategy[str]:
    tables = st.lists(st.sampled_from(headers), unique=True, max_size=4).flatmap(
        lambda chosen: st.tuples(*(table(header) for header in ["# top", *chosen])).map("\n".join)
    )
    return st.tuples(tables, st.sampled_from(["\n", "\r\n"]), st.booleans()).map(
        lambda drawn: (drawn[0] + "\n" * drawn[2]).replace("\n", drawn[1])
    )


@settings(deadline=None)
@given(texts(HEADERS))
def test_an_entry_is_a_table_at_the_end_and_nothing_else_is_touched(text: str) -> None:
    merged = TOML.merge(text, TARGET, ENTRY)
    assert merged.startswith(text)
    data: dict[str, Any] = tomllib.loads(text)
    servers = {**data.get("mcp_servers", {}), TARGET.name: ENTRY}
    assert tomllib.loads(merged) == {**data, "mcp_servers": servers}
    assert "\r" not in text or merged.count("\r\n") == merged.count("\n")
    assert TOML.merge(merged, TARGET, ENTRY) == merged


@settings(deadline=None)
@given(
    before=texts(HEADERS[:2]),
    own=st.sampled_from(OWN).flatmap(table),
    after=st.sampled_from(["[after]", "[[last]]"]).flatmap(table),
)
def test_the_table_of_the_same_name_is_replaced_in_its_place(before: str, own: str, after: str) -> None:
    before, own, after = (text.replace("\r\n", "\n") for text in (before, own, after))
    merged = TOML.merge(f"{before}\n{own}\n# about what follows\n\n{after}", TARGET, NEW)
    head, tail = f"{before}\n", f"# about what follows\n\n{after}"
    assert merged.startswith(head + RENDERED)
    assert merged.endswith(tail)
    # Comments and blank lines behind the last value are kept, for they may be about the next table.
    between = merged[len(head + RENDERED) : len(merged) - len(tail)]
    assert all(not line.strip() or line.startswith("#") for line in between.splitlines())


def test_tables_below_the_entry_go_with_it_wherever_they_are() -> None:
    text = '[mcp_servers.mcp-llama]\nc = 1\n# x\n\n[t]\nd = 1\n\n[mcp_servers.mcp-llama.env]\nA = "1"\n# y\n\n[u]\n'
    assert TOML.merge(text, TARGET, NEW) == f"{RENDERED}# x\n\n[t]\nd = 1\n\n# y\n\n[u]\n"


def test_a_string_that_ends_like_a_comment_goes_with_its_table() -> None:
    text = '[mcp_servers.mcp-llama]\nc = """\n\n# no comment"""\n# x\n'
    assert TOML.merge(text, TARGET, NEW) == f"{RENDERED}# x\n"


def test_the_same_entry_written_otherwise_is_left_as_it_is() -> None:
    text = "[mcp_servers]\nmcp-llama = {b=2} # mine\n"
    assert TOML.merge(text, TARGET, NEW) == text


@pytest.mark.parametrize("text", ["", "\n", "a = 1", "a = 1\n"])
def test_a_new_table_begins_on_a_line_of_its_own(text: str) -> None:
    merged = TOML.merge(text, TARGET, NEW)
    end = "" if not text or text.endswith("\n") else "\n"
    assert merged == (f"{text}{end}\n{RENDERED}" if text else RENDERED)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = \n", "it is not TOML: Invalid value (at line 1, column 5)"),
        ("[a]\nb = 1\nb = 2\n", "it is not TOML: Cannot overwrite a value (at line 3, column 6)"),
        ("mcp_servers = 1\n", "mcp_servers in it is no table of entries"),
        ("mcp_servers = { a = { b = 1 } }\n", "it is written in a way"),
        ("[mcp_servers]\nmcp-llama.c = 1\n", "it is written in a way"),
        ("[mcp_servers]\nmcp-llama = { c = 1 }\n", "it is written in a way"),
    ],
)
def test_what_cannot_be_spliced_is_refused(text: str, said: str) -> None:
    with pytest.raises(MergeError) as caught:
        TOML.merge(text, TARGET, NEW)
    assert str(caught.value).startswith(said)
