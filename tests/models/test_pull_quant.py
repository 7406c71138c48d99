"""Which files of a repository `models pull` takes."""

import pytest

from mcp_llama.errors import PullError
from mcp_llama.models.quant import NoModelError, choose, variants
from mcp_llama.models.reference import HubReference
from mcp_llama.models.repo import Repo, RepoFile

NAME = "owner/Tiny-GGUF"
MIB = 2**20


def repo(*paths: str) -> Repo:
    """A repository in which each file has a MiB more than the one before."""
    files = tuple(RepoFile(path=path, size=(index + 1) * MIB) for index, path in enumerate(paths))
    return Repo(name=NAME, commit="c" * 40, files=files)


def chosen(repo: Repo, *, quant: str | None = None, file: str | None = None) -> list[str]:
    choice = choose(repo, HubReference(repo=NAME, quant=quant, file=file))
    return [part.path for part in choice.variant.parts]


def refusal(repo: Repo, *, quant: str | None = None, file: str | None = None) -> str:
    with pytest.raises(PullError) as caught:
        chosen(repo, quant=quant, file=file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "quant"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "Q4_K_M"),
        ("qwen2.5-7b-instruct-q5_k_m-00001-of-00002.gguf", "Q5_K_M"),
        ("gemma-3-4b-it-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("Qwen3-30B-A3B-MXFP4_MOE.gguf", "MXFP4_MOE"),
        ("ggml-model-i2_s.gguf", "I2_S"),
        ("Phi-3-mini-4k-instruct-q4.gguf", "Q4"),
        ("Phi-3-mini-4k-instruct-fp16.gguf", "F16"),
        ("model-BF16.gguf", "BF16"),
        ("Model.i1-IQ2_XXS.gguf", "IQ2_XXS"),
        ("Model-TQ1_0.gguf", "TQ1_0"),
        ("Q8_0/part.gguf", "Q8_0"),
        ("Q8_0/other-Q4_0.gguf", "Q4_0"),
        ("Model-Q2-tuned.Q6_K.gguf", "Q6_K"),
        ("Model-Q4_0-imatrix.gguf", "Q4_0"),
        ("gemma-2b-it.gguf", None),
        ("iq4life.gguf", None),
    ],
)
def test_the_quantisation_is_read_from_the_name_or_the_folder(path: str, quant: str | None) -> None:
    (variant,) = variants([RepoFile(path=path, size=1)])
    assert variant.quant == quant


@pytest.mark.parametrize(
    "path",
    ["mmproj-model-f16.gguf", "mmproj-Q8_0.gguf", "tiny-mmproj-Q4_0.gguf", "imatrix.gguf", "Tiny.imatrix.gguf",
     "tiny-imatrix.gguf", "tiny-lora.gguf", "Tiny-LoRA-F16.gguf", "adapter-f32.gguf",
     "tiny-lora-q8_0.gguf"],
)  # fmt: skip
def test_projectors_matrices_and_adapters_are_no_models(path: str) -> None:
    assert variants([RepoFile(path=path, size=1)]) == []
    assert chosen(repo(path, "tiny-Q2_K.gguf")) == ["tiny-Q2_K.gguf"]
    text = refusal(repo(path))
    assert text == f"{NAME} has no GGUF model, only {path}, which is no model by itself."
    assert chosen(repo(path), file=path) == [path]


@pytest.mark.parametrize("path", ["color-Q4_0.gguf", "Tiny-LoRA-merged-Q4_K_M.gguf", "adapters.gguf", "florale.gguf"])
def test_a_model_may_be_named_after_what_went_into_it(path: str) -> None:
    assert chosen(repo(path)) == [path]


@pytest.mark.parametrize("quant", ["Q4_K_M", "q4_k_m", "Q4_k_M"])
def test_a_quantisation_is_found_in_any_case(quant: str) -> None:
    assert chosen(repo("tiny-q8_0.gguf", "tiny-q4_k_m.gguf"), quant=quant) == ["tiny-q4_k_m.gguf"]


def test_a_quantisation_is_found_under_its_other_name() -> None:
    assert chosen(repo("tiny-fp16.gguf"), quant="F16") == chosen(repo("tiny-fp16.gguf"), quant="fp16")


def test_a_plain_quantisation_goes_before_a_tuned_one() -> None:
    tuned = "tiny-UD-Q4_K_XL.gguf"
    assert chosen(repo(tuned), quant="Q4_K_XL") == [tuned]
    assert chosen(repo(tuned, "tiny-Q4_K_XL.gguf"), quant="Q4_K_XL") == ["tiny-Q4_K_XL.gguf"]
    assert chosen(repo(tuned, "tiny-Q4_K_XL.gguf")) == ["tiny-Q4_K_XL.gguf"]
    assert chosen(repo(tuned, "tiny-Q4_K_XL.gguf"), quant="ud-q4_k_xl") == [tuned]


@pytest.mark.parametrize(
    ("quants", "taken"),
    [
        (("Q2_K", "Q4_K_M", "Q8_0"), "Q4_K_M"),
        (("Q4_K_S", "Q8_0", "IQ4_XS"), "Q4_K_S"),
        (("Q4_0", "IQ4_XS"), "IQ4_XS"),
        (("Q4_0", "Q5_K_M"), "Q4_0"),
        (("Q2_K", "Q8_0", "F16"), "Q8_0"),
        (("Q3_K_M", "Q5_K_M"), "Q5_K_M"),
        (("Q2_K", "Q3_K_M"), "Q3_K_M"),
        (("IQ1_S", "BF16"), "BF16"),
    ],
)
def test_without_a_wish_the_one_nearest_to_the_default_is_taken(quants: tuple[str, ...], taken: str) -> None:
    assert chosen(repo(*(f"tiny-{quant}.gguf" for quant in quants))) == [f"tiny-{taken}.gguf"]


def test_the_reason_of_a_choice_is_given() -> None:
    def reason(*paths: str, quant: str | None = None, file: str | None = None) -> str:
        return choose(repo(*paths), HubReference(repo=NAME, quant=quant, file=file)).reason

    assert reason("a-Q4_K_M.gguf", "a-Q8_0.gguf") == "Q4_K_M is the default, small and close to the full model"
    nearest = "there is no Q4_K_M, and it is the nearest of Q4_0 (1.0 MiB), Q8_0 (2.0 MiB)"
    assert reason("a-Q4_0.gguf", "a-Q8_0.gguf") == nearest
    assert reason("a-Q2_K.gguf") == "it is the only model there"
    assert reason("a-Q2_K.gguf", quant="Q2_K") == "it was asked for"
    assert reason("a-Q2_K.gguf", file="a-Q2_K.gguf") == "it was named"


def test_an_unknown_quantisation_lists_those_that_are_there_with_their_sizes() -> None:
    split = [f"tiny-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    text = refusal(repo(*split, "tiny-Q2_K.gguf", "mmproj-F16.gguf"), quant="Q9_X")
    assert text == f"{NAME} has no Q9_X. There are Q2_K (3.0 MiB), Q8_0 (3.0 MiB)."


def test_a_long_list_is_cut_with_the_number_of_the_rest() -> None:
    text = refusal(repo(*(f"model{index}.gguf" for index in range(45))), quant="Q9_X")
    assert text.endswith("model39.gguf (40.0 MiB) and 5 more.")


def test_all_parts_of_a_split_model_are_taken_in_their_order() -> None:
    parts = [f"Q8_0/tiny-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    other = [f"tiny-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    assert chosen(repo(*reversed(parts)), quant="Q8_0") == parts
    assert chosen(repo(*parts, *other), file=parts[1]) == parts
    assert chosen(repo(*parts, *other), file=other[0]) == other


def test_a_split_model_that_lacks_a_part_is_refused() -> None:
    text = refusal(repo("tiny-Q8_0-00001-of-00003.gguf", "tiny-Q8_0-00003-of-00003.gguf"), quant="Q8_0")
    assert text == f"{NAME} has only 2 of the 3 parts of Q8_0."


@pytest.mark.parametrize("quant", [None, "Q4_K_M"])
def test_of_several_models_in_one_quantisation_the_file_must_be_named(quant: str | None) -> None:
    text = refusal(repo("a-Q4_K_M.gguf", "b-Q4_K_M.gguf"), quant=quant)
    assert text == (
        f"{NAME} has 2 models of the quantisation Q4_K_M: a-Q4_K_M.gguf (1.0 MiB), b-Q4_K_M.gguf (2.0 MiB). "
        f"Name the one you want, as in hf:{NAME}/a-Q4_K_M.gguf"
    )
    assert "has 2 models without a quantisation in their names: " in refusal(repo("a.gguf", "b.gguf"))


def test_an_unknown_file_is_named_with_the_nearest() -> None:
    known = repo("tiny-Q4_K_M.gguf", "tiny-Q8_0.gguf")
    assert refusal(known, file="tiny-q8_0.gguf") == f"{NAME} has no file tiny-q8_0.gguf. Did you mean tiny-Q8_0.gguf?"
    listed = f"{NAME} has no file xyzzy.gguf. There are tiny-Q4_K_M.gguf, tiny-Q8_0.gguf."
    assert refusal(known, file="xyzzy.gguf") == listed
    assert refusal(repo(), file="xyzzy.gguf") == f"{NAME} has no file xyzzy.gguf. There are no GGUF files."


def test_a_repository_without_a_model_says_so() -> None:
    with pytest.raises(NoModelError, match=f"^{NAME} has no GGUF model.$"):
        chosen(repo(), quant="Q4_K_M")
