"""What holds for every level of tests."""

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The laboratory's fixtures serve the live tests and the scenarios alike; tests that do not ask for them pay nothing.
pytest_plugins = ("tests.lab_fixtures",)

# How many examples a property gets that states no number of its own. Nothing depends on the time that one takes.
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("ordinary", max_examples=35, **_COMMON)
settings.register_profile("nightly", max_examples=2000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ordinary"))

# In CI a test that did not run is a test that failed.
NOT_RUN = ("skipped", "xfailed")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port at which somebody listens who would share it."""
    with socket.socket() as other:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; review the difference")


def _not_run(config: pytest.Config) -> list[str]:
    if not os.environ.get("CI"):
        return []
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return [f"{kind}: {report.nodeid}" for kind in NOT_RUN for report in reporter.stats.get(kind, [])]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The ordinary run leaves out what is marked ``long``."""
    if os.environ.get("FAULTS") == "long":
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _not_run(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    for line in _not_run(config):
        terminalreporter.write_line(f"CI is set, so this is a failure: {line}", red=True)
