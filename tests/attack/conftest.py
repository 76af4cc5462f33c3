"""`--attack-results FILE`: what became of each attack is written there, whether the run passes or fails."""

from pathlib import Path

import pytest

from tests.attack import results


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attack-results", type=Path, help="write what became of each attack into a file, as JSON")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if path := session.config.getoption("--attack-results", None):
        results.write(path)
