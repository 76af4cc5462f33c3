"""The shop's story, a test for each chapter."""

from collections.abc import Iterator

import pytest

from mininet_scenarios.shop import running_shop
from mininet_scenarios.stage import Stage
from mininet_scenarios.three_tier import CHAPTERS


@pytest.fixture(scope="module")
def shop(clean_machine: None) -> Iterator[Stage]:
    with running_shop() as shop:
        yield shop


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.__name__)
def test_the_shop(chapter, shop):
    for line in chapter(shop):
        print(line)
