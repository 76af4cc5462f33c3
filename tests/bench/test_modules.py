"""Every measure can be started: nothing that it imports has moved away."""

import importlib

import pytest

from mininet_scenarios.guest import ROOT

MODULES = sorted(path.stem for path in (ROOT / "bench").glob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_complete(name):
    importlib.import_module(f"bench.{name}")
