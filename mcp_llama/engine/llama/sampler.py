"""SamplingParams → a llama sampler chain. Engine thread only.

The order of the chain and its defaults are those of llama.cpp's own server.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# llama_cpp's ctypes bindings carry few usable types.

import ctypes
from collections.abc import Sequence

import llama_cpp.llama_cpp as lib

from mcp_llama.engine.sampling import SamplingParams
from mcp_llama.errors import RequestError

_MIN_KEEP = 1
_GREEDY_BELOW = 1e-6
"""Logits divided by less would leave the range of a float; the outcome is the most likely token anyway."""
_MIROSTAT_LEARNING_WINDOW = 100


class LlamaSampler:
    """One chain, bound to one context. Feeds the last prompt tokens to the samplers that look back."""

    def __init__(
        self,
        params: SamplingParams,
        prompt: Sequence[int],
        *,
        context: lib.llama_context_p,
        vocab: lib.llama_vocab_p,
        n_vocab: int,
        n_ctx: int,
        eog_tokens: Sequence[int],
    ) -> None:
        _check_logit_bias(params, n_vocab)
        self.context = context
        self._sample = lib.llama_sampler_sample
        self.chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        for link in _links(params, vocab, n_vocab, n_ctx, eog_tokens):
            lib.llama_sampler_chain_add(self.chain, link)
        for token in prompt[len(prompt) - _lookback(params, n_ctx, len(prompt)) :]:
            lib.llama_sampler_accept(self.chain, token)

    def sample(self, row: int) -> int:
        """Choose and accept the next token from the logits of a row of the last decode."""
        return self._sample(self.chain, self.context, row)

    def accept(self, token: int) -> None:
        """Take a token in that was not sampled."""
        lib.llama_sampler_accept(self.chain, token)

    def close(self) -> None:
        """Free the chain."""
        lib.llama_sampler_free(self.chain)


def _check_logit_bias(params: SamplingParams, n_vocab: int) -> None:
    for token, _ in params.logit_bias:
        if token >= n_vocab:
            raise RequestError(f"logit_bias names token {token}, but the vocabulary ends at {n_vocab - 1}.")


def _lookback(params: SamplingParams, n_ctx: int, available: int) -> int:
    """How many prompt tokens the penalties can see."""
    penalties = params.repeat_penalty != 1.0 or params.presence_penalty != 0.0 or params.frequency_penalty != 0.0
    windows = [params.repeat_last_n] if penalties else []
    windows += [params.dry_penalty_last_n] if params.dry_multiplier > 0 else []
    return min(available, max((n_ctx if window < 0 else window for window in windows), default=0))


def _links(
    params: SamplingParams, vocab: lib.llama_vocab_p, n_vocab: int, n_ctx: int, eog_tokens: Sequence[int]
) -> list["lib.llama_sampler_p"]:
    seed = params.seed
    assert seed is not None
    biases = list(params.logit_bias)
    if params.ignore_eos:
        biases += [(token, float("-inf")) for token in eog_tokens]
    links: list[lib.llama_sampler_p] = []
    if biases:
        array = (lib.llama_logit_bias * len(biases))(*biases)
        links.append(lib.llama_sampler_init_logit_bias(n_vocab, len(biases), array))
    if params.repeat_penalty != 1.0 or params.presence_penalty != 0.0 or params.frequency_penalty != 0.0:
        last_n = n_ctx if params.repeat_last_n < 0 else params.repeat_last_n
        links.append(
            lib.llama_sampler_init_penalties(
                n_vocab, last_n, params.repeat_penalty, params.frequency_penalty, params.presence_penalty
            )
        )
    if params.dry_multiplier > 0:
        links.append(_dry(params, vocab, n_ctx))
    if params.temperature < _GREEDY_BELOW:
        links.append(lib.llama_sampler_init_greedy())
        return links
    if params.mirostat:
        return links + _mirostat(params, n_vocab, seed)
    return links + _truncation(params, seed) + [lib.llama_sampler_init_dist(seed)]


def _dry(params: SamplingParams, vocab: lib.llama_vocab_p, n_ctx: int) -> "lib.llama_sampler_p":
    breakers = [breaker.encode() for breaker in params.dry_sequence_breakers]
    return lib.llama_sampler_init_dry(
        vocab,
        params.dry_multiplier,
        params.dry_base,
        params.dry_allowed_length,
        n_ctx if params.dry_penalty_last_n < 0 else params.dry_penalty_last_n,
        (ctypes.c_char_p * len(breakers))(*breakers),
        len(breakers),
    )


def _mirostat(params: SamplingParams, n_vocab: int, seed: int) -> list["lib.llama_sampler_p"]:
    temperature = lib.llama_sampler_init_temp(params.temperature)
    tau, eta = params.mirostat_tau, params.mirostat_eta
    if params.mirostat == 1:
        window = _MIROSTAT_LEARNING_WINDOW
        return [temperature, lib.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, window)]
    return [temperature, lib.llama_sampler_init_mirostat_v2(seed, tau, eta)]


def _truncation(params: SamplingParams, seed: int) -> list["lib.llama_sampler_p"]:
    links: list[lib.llama_sampler_p] = []
    if params.top_n_sigma > 0:
        links.append(lib.llama_sampler_init_top_n_sigma(params.top_n_sigma))
    if params.top_k > 0:
        links.append(lib.llama_sampler_init_top_k(params.top_k))
    if params.typical_p < 1:
        links.append(lib.llama_sampler_init_typical(params.typical_p, _MIN_KEEP))
    if params.top_p < 1:
        links.append(lib.llama_sampler_init_top_p(params.top_p, _MIN_KEEP))
    if params.min_p > 0:
        links.append(lib.llama_sampler_init_min_p(params.min_p, _MIN_KEEP))
    if params.xtc_probability > 0:
        links.append(lib.llama_sampler_init_xtc(params.xtc_probability, params.xtc_threshold, _MIN_KEEP, seed))
    links.append(lib.llama_sampler_init_temp_ext(params.temperature, params.dynatemp_range, params.dynatemp_exponent))
    return links
