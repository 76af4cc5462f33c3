"""Two switches and a trunk, a test for each chapter."""

from collections.abc import Iterator

import pytest

from mininet_scenarios.stage import Stage
from mininet_scenarios.two_switches import CHAPTERS, two_switches


@pytest.fixture(scope="module")
def here(clean_machine: None) -> Iterator[Stage]:
    with two_switches() as here:
        yield here


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.__name__)
def test_two_switches(chapter, here):
    for line in chapter(here):
        print(line)
