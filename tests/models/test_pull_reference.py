"""The names that `models pull` takes."""

import pytest

from mcp_llama.errors import ConfigError
from mcp_llama.models.reference import HubReference, is_safe, parse_reference

REPO = "Qwen/Qwen2.5-0.5B-Instruct-GGUF"


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (f"hf:{REPO}", HubReference(repo=REPO)),
        (REPO, HubReference(repo=REPO)),
        (f"hf://{REPO}", HubReference(repo=REPO)),
        (f"hf.co/{REPO}:Q8_0", HubReference(repo=REPO, quant="Q8_0")),
        (f"https://huggingface.co/{REPO}/", HubReference(repo=REPO)),
        (f"{REPO}:q4_k_m", HubReference(repo=REPO, quant="q4_k_m")),
        (f"{REPO}:UD-Q4_K_XL", HubReference(repo=REPO, quant="UD-Q4_K_XL")),
        (f"hf:{REPO}@v1.0", HubReference(repo=REPO, revision="v1.0")),
        (f"hf:{REPO}@v1.0:Q8_0", HubReference(repo=REPO, revision="v1.0", quant="Q8_0")),
        (f"hf:{REPO}:Q8_0@v1.0", HubReference(repo=REPO, revision="v1.0", quant="Q8_0")),
        (f"hf:{REPO}@refs/pr/3", HubReference(repo=REPO, revision="refs/pr/3")),
        (f"hf:{REPO}@refs/pr/3/a/b.gguf", HubReference(repo=REPO, revision="refs/pr/3", file="a/b.gguf")),
        (f"hf:{REPO}/a b/c.GGUF", HubReference(repo=REPO, file="a b/c.GGUF")),
        (f"{REPO}/c.gguf@abc123", HubReference(repo=REPO, file="c.gguf", revision="abc123")),
        (f"{REPO}/blob/c.gguf", HubReference(repo=REPO, file="blob/c.gguf")),
        (f"https://huggingface.co/{REPO}/tree/main", HubReference(repo=REPO, revision="main")),
        (f"https://huggingface.co/{REPO}/blob/main/c.gguf", HubReference(repo=REPO, revision="main", file="c.gguf")),
        (
            f"https://huggingface.co/{REPO}/resolve/main/a/c.gguf?download=true",
            HubReference(repo=REPO, revision="main", file="a/c.gguf"),
        ),
    ],
)
def test_a_name_is_a_repository_and_what_is_wanted_of_it(name: str, wanted: HubReference) -> None:
    assert parse_reference(name) == wanted


@pytest.mark.parametrize(
    "name",
    [
        "",
        "hf:",
        "hf:gpt2",
        "Qwen",
        "/absolute/path.gguf",
        "./here/model.gguf",
        "../a/b.gguf",
        "a/..",
        "a/b/config.json",
        "a/b/../../../x.gguf",
        "a/b/c\\d.gguf",
        "a/b//c.gguf",
        "a/b:",
        "a/b@",
        "a/b@v1/c.gguf@v2",
        "a/b:Q4/c.gguf",
        "a b/c",
        "https://example.com/a/b",
        "hf:a/b?x=1",
        "a/b\n",
    ],
)
def test_what_is_no_such_name_is_refused_with_the_forms_that_are(name: str) -> None:
    with pytest.raises(ConfigError, match=r"names no model on the hub\. Write hf:OWNER/REPO, hf:OWNER/REPO:QUANT or "):
        parse_reference(name)


@pytest.mark.parametrize("path", ["..", "a/../b", "/a", "a/", "./a", "a\\b", "a\x00b", ""])
def test_a_path_that_leads_out_of_its_folder_is_not_safe(path: str) -> None:
    assert not is_safe(path)


@pytest.mark.parametrize("path", ["a", "a/b.gguf", "..a", ".a", "a b/c"])
def test_a_path_within_its_folder_is_safe(path: str) -> None:
    assert is_safe(path)
