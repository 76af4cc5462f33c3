"""Fixtures of live tests: a laboratory that reports when a test fails, and a check that nothing stays behind."""

from collections.abc import Iterator

import pytest

from mininet_scenarios.lab import Lab, leftovers
from mininet_scenarios.lab.shell import check_tools


@pytest.fixture(scope="session")
def clean_machine() -> Iterator[None]:
    """Nothing of ours stays in the machine: before, what dead sessions have left is swept; after, it is a failure."""
    check_tools()  # an error, never a skip: a firewall whose live tests did not run has not been tested
    for thing in leftovers.sweep():
        print(f"left by a session that was killed, now removed: {thing}")
    yield
    left = leftovers.of_this_process()
    for thing in left:
        leftovers.remove(thing)
    assert not left, "left behind: " + "; ".join(map(str, left))


@pytest.fixture
def lab(clean_machine: None) -> Iterator[Lab]:
    """A laboratory for one test."""
    with Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def module_lab(clean_machine: None) -> Iterator[Lab]:
    """A laboratory for all tests of a file, which then must not get into each other's way."""
    with Lab() as lab:
        yield lab


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """A failed test tells what controllers and switches had to say, and where their files have been kept."""
    report = yield
    if report.failed and call.when != "teardown":
        for lab in Lab.open_labs:
            report.sections.append((f"what the laboratory says (files kept in {lab.keep_files()})", lab.report()))
    return report
