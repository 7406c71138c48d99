"""The suite of the protocol's own makers, at both revisions that it knows, decides whether our server speaks MCP.

The server as shipped lacks the tools that many scenarios call. Those run against the same server with these added.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.node.conformance.suite import REVISIONS, Revision, Run, run
from tests.node.node import Node, marks

pytestmark = marks

AS_SHIPPED: dict[Revision, tuple[str, ...]] = {
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "completion-complete",
        "tools-list",
        "resources-list",
        "prompts-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "completion-complete",
        "tools-list",
        "resources-list",
        "prompts-list",
        "sep-2164-resource-not-found",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
        "input-required-result-unsupported-methods",
    ),
}
"""Scenarios that need nothing of the server but that it is one."""

NOT_SCORED = ("http-header-validation", "http-custom-header-server-validation")
"""The suite runs these against 2026-07-28, but leaves them out of its verdict."""


@pytest.fixture(scope="module")
def shipped(node: Node, url: str) -> Callable[[Revision], Run]:
    """What the suite says about the server as everybody has it, whatever its verdict."""

    @cache
    def ran(revision: Revision) -> Run:
        return run(node, url, revision)

    return ran


@pytest.fixture(scope="module")
def complete(node: Node, fixtures_url: str) -> Callable[[Revision], Run]:
    """What it says about the server with the tools that the suite asks for."""

    @cache
    def ran(revision: Revision) -> Run:
        baseline = Path(__file__).with_name(f"baseline-{revision}.yml")
        expected = ("--expected-failures", str(baseline)) if baseline.exists() else ()
        return run(node, fixtures_url, revision, *expected)

    return ran


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_server_fulfils_all_that_a_revision_requires(
    revision: Revision, complete: Callable[[Revision], Run]
) -> None:
    verdict = complete(revision).verdict
    assert verdict.status == 0, verdict.out


@pytest.mark.parametrize(("revision", "scenario"), [(each, name) for each in REVISIONS for name in AS_SHIPPED[each]])
def test_the_server_as_shipped_passes(revision: Revision, scenario: str, shipped: Callable[[Revision], Run]) -> None:
    assert shipped(revision).failures(scenario) == []


@pytest.mark.parametrize("scenario", NOT_SCORED)
def test_headers_that_contradict_the_body_are_refused(scenario: str, complete: Callable[[Revision], Run]) -> None:
    assert complete("2026-07-28").failures(scenario) == []
