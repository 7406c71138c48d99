"""What the hub's refusals mean to the user, and what to do about them."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RevisionNotFoundError,
)

from mcp_llama.errors import PullError

_TRY_AGAIN = (408, 429, 500, 502, 503, 504)
_RESET = re.compile(r";\s*t=(\d+)")


class UnreachableError(PullError):
    """There is no connection to the hub, or it was lost; it may come back. So it is with a hub that is busy.

    `wait_s` is how long the hub asks to wait, where it does.
    """

    def __init__(self, message: str, wait_s: int | None = None) -> None:
        self.wait_s = wait_s
        super().__init__(message)


class RepoMissingError(PullError):
    """There is no such repository, or this user may not see it."""


@contextmanager
def explained(repo: str) -> Generator[None]:
    """Raise what goes wrong with a request that concerns `repo` in the user's words.

    Raises:
        PullError: the hub refuses, or does not answer as a hub.
        UnreachableError: it may answer later.
    """
    try:
        yield
    except OfflineModeIsEnabled as error:
        raise UnreachableError("HF_HUB_OFFLINE is set, so the hub is not asked. Unset it to download.") from error
    except HfHubHTTPError as error:
        raise _refusal(error, repo) from error
    except httpx2.UnsupportedProtocol as error:
        raise PullError(_no_hub()) from error
    except httpx2.TransportError as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise UnreachableError(
            f"No connection to {host()}: {reason}. Check the network, a proxy, and HF_ENDPOINT if it is set."
        ) from error
    except ImportError as error:
        raise PullError(
            "A SOCKS proxy is set, which needs a package more: pip install socksio. Or unset it."
        ) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise PullError(_no_hub()) from error


@contextmanager
def answered_by_a_hub() -> Generator[None]:
    """Raise what goes wrong when an answer is read.

    Raises:
        PullError: no hub answers like that.
    """
    try:
        yield
    except HfHubHTTPError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PullError(_no_hub()) from error


def host() -> str:
    """The hub's name, without whatever else HF_ENDPOINT holds."""
    parts = urlsplit(constants.ENDPOINT)
    return (parts.hostname or "the hub") + (f":{parts.port}" if parts.port else "")


def _no_hub() -> str:
    return f"{host()} does not answer as a Hugging Face hub does. Check HF_ENDPOINT, or unset it."


def _refusal(error: HfHubHTTPError, repo: str) -> PullError:
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return PullError(_gated(repo))
    if isinstance(error, DisabledRepoError):
        return PullError(f"{repo} has been disabled on {host()}. Choose another repository.")
    if isinstance(error, RevisionNotFoundError):
        return PullError(f"{repo} has no such revision. {_page(repo)}/commits/main lists them.")
    if isinstance(error, RemoteEntryNotFoundError):
        return PullError(f"A file has vanished from {repo} while it was downloaded. Run the same command again.")
    if status == 401 and _is_token_refused(error):
        return PullError(
            f"{host()} does not know the token that it was given. Set HF_TOKEN to a valid one, or run `hf auth login`."
        )
    if status in (401, 404):
        login = "check that your token's account may see it" if get_token() else "set HF_TOKEN or run `hf auth login`"
        return RepoMissingError(f"There is no {repo} on {host()}. If it is private, {login}.")
    if status == 403:
        return PullError(f"{host()} does not let your token read {repo}. Give it the permission to read repositories.")
    if status == 400 and not error.response.request.url.path.startswith("/api/"):
        return PullError(
            f"{host()} does not send this file of {repo} over plain HTTP, as some that are very large. "
            f"`hf download {repo} FILE` fetches it; give its path to --model."
        )
    if status in _TRY_AGAIN:
        return _busy(error, status)
    return PullError(f"{host()} answers {status} for {repo}.")


def _gated(repo: str) -> str:
    if get_token() is None:
        return (
            f"{repo} is gated. Accept its licence at {_page(repo)} with your account, "
            "then set HF_TOKEN or run `hf auth login`."
        )
    return (
        f"{repo} is gated, and your token's account has no access. Accept its licence at {_page(repo)}; "
        "some owners then have to let you in. A fine-grained token needs the right to read gated repositories."
    )


def _busy(error: HfHubHTTPError, status: int) -> UnreachableError:
    wait_s = _wait_s(error.response.headers)
    later = "later" if wait_s is None else f"in {wait_s} s"
    if status == 429:
        more = "" if get_token() else " With HF_TOKEN the limit is higher."
        return UnreachableError(f"{host()} limits how often it is asked. Try again {later}.{more}", wait_s)
    return UnreachableError(f"{host()} answers {status}. Try again {later}.", wait_s)


def _wait_s(headers: httpx2.Headers) -> int | None:
    after = headers.get("Retry-After", "").strip()
    reset = _RESET.search(headers.get("RateLimit", ""))
    return int(after) if after.isdigit() else int(reset[1]) if reset else None


def _is_token_refused(error: HfHubHTTPError) -> bool:
    return "invalid" in f"{error.response.headers.get('X-Error-Message', '')} {error.server_message or ''}".lower()


def _page(repo: str) -> str:
    return f"{constants.ENDPOINT}/{repo}" if "@" not in constants.ENDPOINT else f"https://{host()}/{repo}"
