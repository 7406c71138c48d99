from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_llama.engine.detokenizer import Detokenizer
from mcp_llama.engine.llama import LlamaModel

SCRIPTS = (
    "Grüße, señor! Привет, мир. שלום עולם. مرحبا بالعالم. नमस्ते दुनिया। สวัสดีชาวโลก "
    "你好世界。こんにちは世界。안녕하세요 세계. Xin chào thế giới. ქართული გამარჯობა. Բարև աշխարհ. ᚠᛇᚻ "
    "🙂🙃👩‍👩‍👧‍👦🏳️‍🌈🇩🇪👍🏽 𐍈𒀀 e\u0301 ﷽ ½ € → ∑∫√ \t\r\n  \u00a0\u200b\u202e"
)


def through_tokens(model: LlamaModel, text: str) -> str:
    detokenizer = Detokenizer()
    tokens = model.tokenize(text, add_special=False, parse_special=False)
    return "".join(detokenizer.push(model.token_bytes(token)) for token in tokens) + detokenizer.flush()


def test_text_in_many_scripts_survives_tokens(model: LlamaModel) -> None:
    text = SCRIPTS * 20
    assert "\ufffd" not in through_tokens(model, text)
    assert through_tokens(model, text) == text


@pytest.mark.parametrize(
    "text", ["", "\x00", "a\x00b", " ", "  leading", "trailing  ", "<|im_end|>", "\ufffd", "a" * 999]
)
def test_odd_texts_survive_tokens(model: LlamaModel, text: str) -> None:
    assert through_tokens(model, text) == text


def test_any_text_survives_tokens(loaded_model: LlamaModel) -> None:
    # This vocabulary has no tokens for some control characters and for the bytes that begin the planes in no use.
    @given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"], max_codepoint=0x2FFFF), max_size=60))
    def survives(text: str) -> None:
        assert through_tokens(loaded_model, text) == text

    survives()


def test_a_lone_surrogate_does_not_break_the_tokenizer(model: LlamaModel) -> None:
    assert through_tokens(model, "a\ud800b").startswith("a")


def test_a_long_text_does_not_hold_up_short_ones(model: LlamaModel) -> None:
    with ThreadPoolExecutor(1) as executor:
        text = "a text of no importance " * 50_000
        long = executor.submit(model.tokenize, text, add_special=False, parse_special=False)
        short_ones = 0
        while not long.done():
            model.tokenize("short", add_special=False, parse_special=False)
            short_ones += 1
    # One may begin before the long text does, and one end after it.
    assert short_ones > 2


def test_control_tokens_are_parsed_on_request_and_have_no_bytes(model: LlamaModel) -> None:
    (end,) = model.tokenize("<|im_end|>", add_special=False, parse_special=True)
    assert len(model.tokenize("<|im_end|>", add_special=False, parse_special=False)) > 1
    assert model.token_bytes(end) == b""
    assert model.is_eog(end)


def test_a_word_is_no_end_of_generation(model: LlamaModel) -> None:
    assert not any(map(model.is_eog, model.tokenize("an ordinary text", add_special=False, parse_special=False)))


def test_every_token_has_bytes_or_is_a_control_token(model: LlamaModel) -> None:
    empty = [token for token in range(model.n_vocab) if not model.token_bytes(token)]
    assert 0 < len(empty) < 50


def test_the_model_says_what_it_is(model: LlamaModel) -> None:
    assert (model.n_ctx, model.n_slots, model.n_batch, model.n_ctx_train) == (512, 4, 512, 8192)
    assert model.metadata["general.architecture"] == "llama"
    assert model.n_params == 134_515_008
    assert model.description == "llama 256M Q4_1"
    assert (model.bos_text, model.eos_text) == ("<|im_start|>", "<|im_end|>")
    assert model.chat_template is not None
    assert "<|im_start|>" in model.chat_template
