"""Hub: what is asked of huggingface.co, or of what HF_ENDPOINT names. Importing this takes huggingface_hub in."""

import logging
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,  # pyright: ignore[reportUnknownVariableType]
    get_session,
    get_token,
    hf_hub_url,
)
from huggingface_hub.errors import HfHubHTTPError, OIDCError
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from huggingface_hub.utils import (
    build_hf_headers,  # pyright: ignore[reportUnknownVariableType]
    hf_raise_for_status,
)
from huggingface_hub.utils.logging import disable_propagation

from mcp_llama import __version__
from mcp_llama.errors import ConfigError, PullError
from mcp_llama.models.hub_errors import answered_by_a_hub, explained
from mcp_llama.models.reference import is_safe
from mcp_llama.models.repo import Repo, RepoFile

_LIBRARY = "mcp-llama"
_SEARCHED = 20
_MAX_SUGGESTED = 3


class Hub:
    """The hub. Files come over plain HTTP, not Xet: that way an interrupted one can go on where it was."""

    def __init__(self) -> None:
        """Nothing is asked yet.

        Raises:
            ConfigError: the token cannot be sent.
        """
        try:
            token = get_token()
        except (HfHubHTTPError, OIDCError) as error:
            raise ConfigError("HF_OIDC_RESOURCE is set, but brings no token for the hub. Unset it.") from error
        if token is not None and not (token.isascii() and token.isprintable()):
            raise ConfigError("The token for the hub holds characters that no token has. Set HF_TOKEN anew.")
        # Their logs hold addresses that are signed for whoever reads them; huggingface_hub prints its own problems.
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        disable_propagation()
        self._api = HfApi(library_name=_LIBRARY, library_version=__version__)

    def repo(self, name: str, revision: str | None) -> Repo:
        """A repository at a revision, or as it is now.

        Raises:
            PullError: there is none, or it may not be read.
            UnreachableError: the hub cannot be asked.
        """
        with explained(name), answered_by_a_hub():
            timeout = constants.HF_HUB_ETAG_TIMEOUT
            info = self._api.model_info(name, revision=revision, files_metadata=True, timeout=timeout)
            siblings = [file for file in info.siblings or () if file.rfilename.lower().endswith(".gguf")]
            files = tuple(_file(info, file) for file in siblings)
        if info.sha is None or not is_safe(info.id) or not all(is_safe(file.path) for file in files):
            raise PullError(f"The hub's list of {name} names files that cannot be kept. Nothing was downloaded.")
        return Repo(name=info.id, commit=info.sha, files=files)

    def similar(self, name: str) -> list[str]:
        """Repositories with GGUF files whose names are near this one's; none if the hub does not tell."""
        try:
            with explained(name), answered_by_a_hub():
                # Asked without HfApi, which would try for half a minute.
                words = name.rpartition("/")[2].removesuffix("-GGUF")
                response = get_session().get(
                    f"{constants.ENDPOINT}/api/models",
                    params={"search": words, "filter": "gguf", "limit": _SEARCHED},
                    headers=_headers(),
                    timeout=constants.HF_HUB_ETAG_TIMEOUT,
                )
                hf_raise_for_status(response)
                found = [str(model["id"]) for model in response.json()]
        except PullError:
            return []
        near = get_close_matches(name, found, n=_MAX_SUGGESTED, cutoff=0.3)
        return near or found[:_MAX_SUGGESTED]

    @contextmanager
    def read(self, repo: Repo, file: RepoFile, start: int, end: int) -> Generator[tuple[int, Iterator[bytes]]]:
        """Some bytes of a file, as they come, and the position of the first of them: `start`, or 0 if it must be so.

        Raises:
            PullError: the file may not be read, or is not there any more.
            UnreachableError: the connection is not there, or is lost; at any time while the bytes are read.
        """
        url = hf_hub_url(repo.name, file.path, revision=repo.commit)
        headers = {**_headers(), "Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        with explained(repo.name), get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
            hf_raise_for_status(response)
            is_part = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
            yield start if is_part else 0, response.iter_bytes()


def _headers() -> dict[str, str]:
    return build_hf_headers(library_name=_LIBRARY, library_version=__version__)


def _file(info: ModelInfo, sibling: RepoSibling) -> RepoFile:
    path, size = sibling.rfilename, sibling.size
    sha256 = None if sibling.lfs is None else sibling.lfs.sha256
    if size is None:
        # Some mirrors list names only; then the headers of the file tell.
        metadata = get_hf_file_metadata(hf_hub_url(info.id, path, revision=info.sha))
        size, etag = metadata.size or 0, metadata.etag or ""
        sha256 = etag if re.fullmatch(r"[0-9a-f]{64}", etag) else None
    return RepoFile(path=path, size=size, sha256=sha256)
