"""What the live tests run against. Without PERSQA_LIVE_BASE_URL they skip; with PERSQA_LIVE_REQUIRED=1 a skip fails.

PERSQA_LIVE_BASE_URL      the endpoint, such as http://127.0.0.1:8000/v1
PERSQA_LIVE_MODEL         the model there; else the first that it lists
PERSQA_LIVE_API_KEY_ENV   the name of the variable that holds its key
PERSQA_LIVE_ROWS          rows of the large run, 200 if not given
PERSQA_LIVE_OWN_SERVER    1: start tiny_vllm for the tests marked own_server, 0: don't; else where it is installed
PERSQA_LIVE_REQUIRED      1: a live test that would skip fails

``-n 2 --dist loadgroup`` runs the tests with servers of their own beside the others. No two tests use one server at a
time, because other requests change the last bits of a server's numbers.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.live.endpoints import LiveEndpoint, TinyVLLMInstall, TinyVLLMServer, find_endpoint

HERE = Path(__file__).parent
OWN_SERVER_TIMEOUT = 900
"""Seconds for a test that starts servers."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "own_server: starts a server of its own (tests/live/tiny_vllm), 3 GB and 40 s")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips by marks, because pytest folds their reasons into one line for each file."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        has_own_server = item.get_closest_marker("own_server") is not None
        item.add_marker(pytest.mark.xdist_group("own_server" if has_own_server else "endpoint"))
        if has_own_server:
            item.add_marker(pytest.mark.timeout(OWN_SERVER_TIMEOUT))
        reason = why_no_own_server() if has_own_server else why_no_endpoint()
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where live tests are required, a skip would be a green light for what nobody looked at."""
    report = yield
    if report.skipped and os.environ.get("PERSQA_LIVE_REQUIRED") == "1":
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"PERSQA_LIVE_REQUIRED=1 allows no skip, and this was one: {reason}"
    return report


@pytest.fixture(scope="session")
def endpoint() -> LiveEndpoint:
    """The endpoint that the environment names."""
    return find_endpoint(os.environ)


@pytest.fixture(scope="session")
def tiny_vllm() -> TinyVLLMInstall:
    """For tests that start it by means of the package itself."""
    tiny = TinyVLLMInstall.of(os.environ)
    tiny.install()
    return tiny


@pytest.fixture(scope="session")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyVLLMServer]:
    """One server of our own for all tests that want one; a test that kills it starts it again."""
    server = TinyVLLMServer(tmp_path_factory.mktemp("own_server") / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def second_server(tmp_path: Path) -> Iterator[TinyVLLMServer]:
    """Another one beside ``own_server``, for a test that kills it for good."""
    server = TinyVLLMServer(tmp_path / "second_server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


def why_no_endpoint() -> str | None:
    return None if os.environ.get("PERSQA_LIVE_BASE_URL") else "no PERSQA_LIVE_BASE_URL names an endpoint"


def why_no_own_server() -> str | None:
    """A reason to start none: 3 GB and 40 s are for those who asked for live tests."""
    wish = os.environ.get("PERSQA_LIVE_OWN_SERVER", "")
    if wish == "1":
        return None
    if wish == "0":
        return "PERSQA_LIVE_OWN_SERVER=0 wants no server of its own"
    if (reason := why_no_endpoint()) is not None:
        return reason
    tiny = TinyVLLMInstall.of(os.environ)
    installed = (tiny.model / "config.json").exists()
    return None if installed else f"tests/live/tiny_vllm/setup.sh has not filled {tiny.home}"
