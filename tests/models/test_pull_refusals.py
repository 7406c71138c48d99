"""What `models pull` says when the hub does not give what is asked: each time what to do about it."""

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.models.hub_stand_in import HubRepo, Refusal
from tests.models.pulling import CONTENT, FILE, REPO, Pulling, pulling

INFO = f"/api/models/{REPO}"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Pulling]:
    with pulling(monkeypatch, tmp_path, capsys) as here:
        yield here


@pytest.fixture
def host(here: Pulling) -> str:
    return here.hub.url.removeprefix("http://")


def said(here: Pulling, name: str = f"hf:{REPO}") -> str:
    """The last line, of a pull that brings nothing."""
    outcome = here.pull(name)
    assert (outcome.status, outcome.out, here.kept()) == (1, "", []), outcome
    assert "Traceback" not in outcome.err
    return outcome.err.splitlines()[-1].removeprefix("mcp-llama: ")


def test_a_wrong_name_is_a_matter_of_usage(here: Pulling) -> None:
    assert here.pull("gpt2").problem(2).startswith("mcp-llama: 'gpt2' names no model on the hub. Write hf:OWNER/REPO")
    assert here.hub.requests == []


def test_a_gated_repository_without_a_token(here: Pulling) -> None:
    here.repo.is_gated = True
    assert said(here) == (
        f"{REPO} is gated. Accept its licence at {here.hub.url}/{REPO} with your account, "
        "then set HF_TOKEN or run `hf auth login`."
    )


def test_a_gated_repository_with_the_token_of_somebody_who_was_not_let_in(
    here: Pulling, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.repo.is_gated = True
    monkeypatch.setenv("HF_TOKEN", "hf_stranger")
    text = said(here)
    assert text.startswith(
        f"{REPO} is gated, and your token's account has no access. Accept its licence at {here.hub.url}"
    )
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    assert here.pull().status == 0


def test_a_token_that_a_login_has_kept_is_used(here: Pulling, tmp_path: Path) -> None:
    here.repo.is_gated = True
    (tmp_path / "token").write_text("hf_member\n")
    assert here.pull().status == 0


@pytest.mark.parametrize("token", [None, "hf_stranger"])
def test_a_repository_that_is_not_there_or_private(
    here: Pulling, host: str, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    login = "check that your token's account may see it" if token else "set HF_TOKEN or run `hf auth login`"
    missing = said(here, "nobody/Nothing")
    assert missing == f"There is no nobody/Nothing on {host}. If it is private, {login}."
    here.repo.is_private = True
    assert said(here).startswith(f"There is no {REPO} on {host}. If it is private, {login}.")


def test_a_repository_that_is_not_there_is_answered_with_those_of_like_names(here: Pulling) -> None:
    here.hub.repos["other/Large-GGUF"] = HubRepo({FILE: CONTENT})
    assert said(here, "ovner/Tiny-GGUF").endswith(f" Perhaps hf:{REPO}?")


def test_the_nearest_of_like_names_comes_first(here: Pulling) -> None:
    far = [f"maker{number}/Quite-Another-Tiny-With-A-Long-Name-GGUF" for number in range(3)]
    here.hub.repos = {**{name: HubRepo({FILE: CONTENT}) for name in far}, **here.hub.repos}
    assert " Perhaps hf:owner/Tiny-GGUF" in said(here, "ovner/Tiny-GGUF")


def test_a_like_name_need_not_say_gguf_at_the_same_place(here: Pulling) -> None:
    here.hub.repos = {"owner/Tiny-Instruct-GGUF": HubRepo({FILE: CONTENT})}
    assert said(here, "owner/Tiny-GGUF").endswith(" Perhaps hf:owner/Tiny-Instruct-GGUF?")


def test_a_repository_without_gguf_is_answered_with_one_that_has_them(here: Pulling) -> None:
    here.hub.repos["maker/Tiny"] = HubRepo({"model.safetensors": b"x"})
    assert said(here, "maker/Tiny") == f"maker/Tiny has no GGUF model. Perhaps hf:{REPO}?"
    here.hub.refusals["/api/models"] = [Refusal(500)]
    assert said(here, "maker/Tiny") == "maker/Tiny has no GGUF model."


def test_a_repository_is_not_suggested_instead_of_itself(here: Pulling) -> None:
    here.repo.files = {"mmproj-f16.gguf": CONTENT}
    assert said(here) == f"{REPO} has no GGUF model, only mmproj-f16.gguf, which is no model by itself."


def test_an_unknown_quantisation(here: Pulling) -> None:
    assert said(here, f"{REPO}:Q9_X") == f"{REPO} has no Q9_X. There are Q4_K_M (1.0 MiB)."


def test_an_unknown_revision(here: Pulling) -> None:
    assert said(here, f"{REPO}@v9") == f"{REPO} has no such revision. {here.hub.url}/{REPO}/commits/main lists them."


@pytest.mark.parametrize("end", [INFO, FILE])
def test_a_token_that_the_hub_does_not_know(
    here: Pulling, host: str, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    assert said(here).startswith(f"{host} does not know the token that it was given. Set HF_TOKEN to a valid one, or ")


def test_a_token_that_may_not_read(here: Pulling, host: str) -> None:
    here.hub.refusals[FILE] = [Refusal(403)]
    assert said(here).startswith(f"{host} does not let your token read {REPO}.")


def test_a_repository_that_was_disabled(here: Pulling, host: str) -> None:
    here.hub.refusals[INFO] = [Refusal(403, {"X-Error-Message": "Access to this resource is disabled."})]
    assert said(here) == f"{REPO} has been disabled on {host}. Choose another repository."


def test_a_file_that_vanished_after_the_list_was_made(here: Pulling) -> None:
    here.hub.refusals[FILE] = [Refusal(404, {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})]
    assert here.pull().err.splitlines()[-1] == (
        f"mcp-llama: A file has vanished from {REPO} while it was downloaded. Run the same command again."
    )


@pytest.mark.parametrize(("headers", "when"), [({"Retry-After": "300"}, "in 300 s"), ({}, "later")])
def test_a_limit_of_requests(here: Pulling, host: str, headers: dict[str, str], when: str) -> None:
    here.hub.refusals[INFO] = [Refusal(429, headers)]
    assert said(here) == f"{host} limits how often it is asked. Try again {when}. With HF_TOKEN the limit is higher."


def test_a_limit_that_lasts_long_is_not_waited_for(here: Pulling) -> None:
    here.hub.refusals[FILE] = [Refusal(429, {"RateLimit": '"resolvers";r=0;t=290'})]
    outcome = here.pull()
    assert (outcome.status, here.waits) == (1, [])
    assert "Try again in 290 s." in outcome.err


def test_a_hub_that_is_out_of_order(here: Pulling, host: str) -> None:
    here.hub.refusals[INFO] = [Refusal(503)]
    assert said(here) == f"{host} answers 503. Try again later."
    for status in (400, 418):
        here.hub.refusals[INFO] = [Refusal(status)]
        assert said(here) == f"{host} answers {status} for {REPO}."


def test_a_hub_that_cannot_be_reached(here: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://user:secret@127.0.0.1:{port}")
    text = said(here)
    assert text.startswith(f"No connection to 127.0.0.1:{port}: ")
    assert text.endswith("Check the network, a proxy, and HF_ENDPOINT if it is set.")
    assert "secret" not in text


@pytest.mark.parametrize("endpoint", ["ftp://hub.example", "hub.example", "http://", "http://☃..☃"])
def test_an_endpoint_that_is_no_address(here: Pulling, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    assert said(here).endswith("does not answer as a Hugging Face hub does. Check HF_ENDPOINT, or unset it.")


@pytest.mark.parametrize("body", [b"<html>Welcome", b"[]", b"{}", b'{"id": 3}', b'{"id": "a/b", "siblings": [{}]}'])
def test_an_endpoint_that_is_no_hub(here: Pulling, host: str, body: bytes) -> None:
    here.hub.refusals[INFO] = [Refusal(200, body=body)]
    text = said(here)
    assert text.startswith((f"{host} does not answer as a Hugging Face hub", f"The hub's list of {REPO} names files"))


@pytest.mark.parametrize("path", ["../../../evil.gguf", "/evil.gguf", "a/../../b.gguf", "..\\b.gguf"])
def test_a_hub_that_names_files_elsewhere_is_not_followed(here: Pulling, tmp_path: Path, path: str) -> None:
    here.repo.files[path] = CONTENT
    before = set(tmp_path.rglob("*"))
    assert said(here, f"{REPO}:Q4_K_M").startswith(f"The hub's list of {REPO} names files that cannot be kept.")
    assert set(tmp_path.rglob("*.gguf")) <= before


def test_a_hub_that_names_a_repository_elsewhere_is_not_followed(here: Pulling) -> None:
    sibling = {"rfilename": FILE, "size": 3}
    body = json.dumps({"id": "../../evil", "sha": "c" * 40, "siblings": [sibling]}).encode()
    here.hub.refusals[INFO] = [Refusal(200, body=body)]
    assert said(here).startswith(f"The hub's list of {REPO} names files that cannot be kept.")


def test_a_socks_proxy_without_its_package(here: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert said(here) == "A SOCKS proxy is set, which needs a package more: pip install socksio. Or unset it."


def test_offline_mode(here: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert said(here) == "HF_HUB_OFFLINE is set, so the hub is not asked. Unset it to download."
    assert here.hub.requests == []


def test_a_model_larger_than_the_disk_is_refused_before_a_byte_of_it_comes(here: Pulling) -> None:
    parts = [f"tiny-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    here.repo.files |= dict.fromkeys(parts, CONTENT)
    here.repo.claimed_size |= dict.fromkeys(parts, 2**59)
    text = said(here, f"{REPO}:Q8_0")
    assert text.startswith(f"1073741824.0 GiB are to be downloaded, but {here.folder / REPO} has ")
    assert " GiB free. Free 10" in text
    assert text.endswith(" GiB, or choose a smaller quantisation.")
    assert here.hub.ranges("tiny") == []


def test_what_is_there_already_needs_no_room(here: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(free=len(CONTENT) - 5000)
    monkeypatch.setattr("mcp_llama.models.pull.shutil.disk_usage", {here.file.parent: free}.get)
    assert said(here).endswith("free. Free 5,000 bytes, or choose a smaller quantisation.")
    part = here.file.with_name(f".{FILE}.{here.repo.sha256(FILE)[:16]}.part")
    part.write_bytes(CONTENT[:5000])
    assert here.pull().status == 0


def test_a_file_that_the_hub_sends_only_through_xet(here: Pulling, host: str) -> None:
    here.hub.refusals[FILE] = [Refusal(400)]
    assert said(here) == (
        f"{host} does not send this file of {REPO} over plain HTTP, as some that are very large. "
        f"`hf download {REPO} FILE` fetches it; give its path to --model."
    )


def test_a_folder_that_cannot_be_written_is_named(here: Pulling) -> None:
    here.folder.parent.mkdir(parents=True)
    here.folder.write_text("a file")
    outcome = here.pull()
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1].startswith(f"mcp-llama: {here.folder}")
    assert "cannot be used: " in outcome.err


@pytest.mark.parametrize("token", ["hf_sëcret", "hf_se\x01cret"])
def test_a_token_that_cannot_be_sent(here: Pulling, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    line = here.pull().problem(2)
    assert line == "mcp-llama: The token for the hub holds characters that no token has. Set HF_TOKEN anew."


def test_a_token_that_is_to_be_exchanged_and_cannot_be(here: Pulling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_OIDC_RESOURCE", "models/owner/Tiny-GGUF")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    line = here.pull().problem(2)
    assert line == "mcp-llama: HF_OIDC_RESOURCE is set, but brings no token for the hub. Unset it."


def test_neither_tokens_nor_signed_addresses_are_told(
    here: Pulling, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_member")
    monkeypatch.setenv("MCP_LLAMA_LOG_LEVEL", "debug")
    here.hub.cuts[FILE] = [10]
    here.hub.refusals[FILE] = [Refusal(500)]
    done = here.pull()
    here.hub.members.clear()
    refused = here.pull()
    assert logging.getLogger().level == logging.DEBUG
    assert (done.status, refused.status) == (0, 1)
    for text in (done.out, done.err, refused.out, refused.err):
        assert "hf_member" not in text
        assert "X-Signature" not in text
