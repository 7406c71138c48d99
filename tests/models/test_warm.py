from itertools import pairwise
from pathlib import Path

import pytest

from mcp_llama.chat.marks import ReasoningMarks
from mcp_llama.chat.plan import ChatDefaults
from mcp_llama.engine.model import DecodeAbortedError, DecodeError, Rows
from mcp_llama.errors import ConfigError, ModelLoadError
from mcp_llama.models.warm import WarmText, compute_prefix, read_warm, warm_tokens
from tests.fake_model import BOS, CHAT_TEMPLATE, FakeModel

NO_DEFAULTS = ChatDefaults()


def prefix(template: str | None, text: str = "Be brief.", *, n_ctx: int = 512, chat: ChatDefaults = NO_DEFAULTS) -> str:
    """What is computed of a chat, where <s> is the leading token."""
    model = FakeModel(n_ctx=n_ctx)
    model.chat_template = template
    tokens = warm_tokens(model, WarmText(Path("warm.txt"), text), chat)
    return b"".join(model.pieces(tokens)).decode()


def wanted() -> bool:
    return True


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"Be brief.", "Be brief."),
        (b"Be brief.\n", "Be brief."),
        (b"\n Be brief. \n\n", "\n Be brief. \n"),
        (b"\xef\xbb\xbfBe brief.", "Be brief."),
        (b"One.\r\nTwo.\r\n", "One.\nTwo."),
        ("Sé breve.".encode(), "Sé breve."),
    ],
)
def test_a_file_is_its_text_without_the_end_of_its_last_line(content: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "warm.txt"
    path.write_bytes(content)
    assert read_warm(path) == WarmText(path, text)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory. Give a text file."),
        (b"\xff\xfe", "is not UTF-8 text. Save it as UTF-8."),
        (b"", "is empty. Write the system message into it, or leave the option out."),
        (b" \n\n", "is empty. Write the system message into it, or leave the option out."),
    ],
)
def test_a_file_that_is_no_text_is_refused(content: bytes | None, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "warm.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_warm(path)
    assert str(caught.value) == f"--warm {path} {problem}"


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        read_warm(tmp_path)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHAT_TEMPLATE, "<s><system>Be brief.\n<user>"),
        ("{{ bos_token }}" + CHAT_TEMPLATE, "<s><system>Be brief.\n<user>"),
        (
            "{% for m in messages %}[{{ m.role }}] {{ m.content | upper | trim }}{% endfor %}",
            "<s>[system] BE BRIEF.[user] ",
        ),
        (
            "[INST] <<{{ messages[0].content }}>> {{ messages[1].content }} [/INST]",
            "<s>[INST] <<Be brief.>> ",
        ),
        (None, "<s>Be brief."),
    ],
)
def test_the_prefix_ends_where_the_words_of_the_user_begin(template: str | None, expected: str) -> None:
    assert prefix(template) == expected


class Merging(FakeModel):
    """Has tokens that begin in what the template writes and end in what the user writes."""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        tokens = super().tokenize(text, add_special=add_special, parse_special=parse_special)
        for first, last in (b">(", b">7"):
            while (first, last) in (pairs := list(pairwise(tokens))):
                index = pairs.index((first, last))
                tokens[index : index + 2] = [self.merged[first, last]]
        return tokens

    def __init__(self) -> None:
        super().__init__()
        self.merged = {(pair[0], pair[1]): self.piece(pair) for pair in (b">(", b">7")}


@pytest.mark.parametrize("words", ["apple", "Zoo", "7 dwarfs", "(see below)", "être"])
def test_no_token_of_the_prefix_reaches_into_the_words_of_the_user(words: str) -> None:
    model = Merging()
    tokens = warm_tokens(model, WarmText(Path("warm.txt"), "Be brief."), NO_DEFAULTS)
    chat = model.tokenize(f"<system>Be brief.\n<user>{words}\n<assistant>", add_special=True, parse_special=True)
    assert chat[: len(tokens)] == tokens
    assert b"".join(model.pieces(tokens)) == b"<s><system>Be brief.\n<user"


def test_the_defaults_of_chats_hold_for_the_prefix() -> None:
    chat = ChatDefaults(marks=ReasoningMarks("<think>", "</think>"), reasoning_budget=0)
    assert prefix(CHAT_TEMPLATE, chat=chat) == "<s><system>Be brief.\n<user>"
    first = "{{ messages[0].content }}{% if enable_thinking is defined %}!{% endif %}"
    assert prefix(first + CHAT_TEMPLATE) == "<s>Be brief.<system>Be brief.\n<user>"


@pytest.mark.parametrize("spare", [1, 2])
def test_a_text_that_leaves_no_room_for_a_question_and_an_answer_is_refused(spare: int) -> None:
    n_ctx = len("<system>.\n<user>") + 1 + 300 - 1 + spare
    if spare == 2:
        assert prefix(CHAT_TEMPLATE, "x" * 300, n_ctx=n_ctx).startswith("<s><system>xxx")
        return
    with pytest.raises(ModelLoadError) as caught:
        prefix(CHAT_TEMPLATE, "x" * 300, n_ctx=n_ctx)
    assert str(caught.value) == (
        "--warm warm.txt has 316 tokens, but the context holds 317. Shorten it, or raise n_ctx."
    )


def test_a_template_that_refuses_the_message_is_told_with_the_file() -> None:
    refusing = "{% if messages[0].content == 'Be brief.' %}{{ raise_exception('no system role') }}{% endif %}"
    with pytest.raises(ModelLoadError, match=r"^--warm warm\.txt: The model's chat template refuses .* no system role"):
        prefix(refusing + CHAT_TEMPLATE)


class Bare(FakeModel):
    """Adds no leading token."""

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        return super().tokenize(text, add_special=False, parse_special=parse_special)


def test_a_template_that_begins_with_the_words_of_the_user_leaves_nothing_to_compute() -> None:
    model = Bare()
    model.chat_template = "{{ messages[-1].content }} ({{ messages[0].content }})"
    with pytest.raises(ModelLoadError, match=r"^--warm warm\.txt: the chat template puts the user's words first"):
        warm_tokens(model, WarmText(Path("warm.txt"), "Be brief."), NO_DEFAULTS)


def test_the_prefix_is_computed_in_pieces_that_fit_a_batch() -> None:
    model = FakeModel(n_batch=40)
    tokens = [BOS, *b"x" * 100]
    compute_prefix(model, tokens, wanted)
    assert model.slots[0] == tokens
    assert [len(rows) for rows in model.batches] == [40, 40, 21]
    assert not any(any(rows.outputs) for rows in model.batches)


def test_computing_ends_between_two_pieces() -> None:
    model = FakeModel(n_batch=40)
    answers = iter([True, False])
    with pytest.raises(DecodeAbortedError):
        compute_prefix(model, [65] * 100, lambda: next(answers))
    assert len(model.batches) == 1


def test_a_failing_decode_is_a_load_error() -> None:
    def fail(_: Rows) -> Exception:
        return DecodeError("no luck")

    model = FakeModel()
    model.fault = fail
    with pytest.raises(ModelLoadError, match=r"^The warm prompts could not be computed: no luck$"):
        compute_prefix(model, [65] * 100, wanted)
