"""The declarations are sound, and the page of attacks is theirs."""

from collections import Counter

from policy.flows.cookies import Drop
from tests.attack.families import FAMILIES
from tests.attack.page import PAGE, rendered, results_on, sections
from tests.attack.results import KNOWN, LOST, STOPPED
from tests.attack.tools import TOOLS


def test_the_page_is_that_of_the_declarations():
    page = PAGE.read_text()
    assert page == rendered(results_on(page)), "run make attack"


def test_the_page_says_that_all_is_well():
    said = Counter(result for family in results_on(PAGE.read_text()).values() for result in family.values())
    assert set(said) == {STOPPED, KNOWN, LOST}


def test_a_result_that_is_not_well_stands_on_the_page():
    page = rendered({"arp": {"RARP request": "arrives at vic"}})
    assert results_on(page)["arp"]["RARP request"] == "arrives at vic"
    assert results_on(page)["nd"]["inverse discovery"] == "not tried"


def test_names_are_unique():
    for name, _, *tables in sections():
        names = Counter(row[0] for rows in tables for row in rows)
        assert [twice for twice, count in names.items() if count > 1] == [], name


def test_each_family_has_an_honest_variant():
    assert [family.name for family in FAMILIES if not family.honest] == []


def test_each_named_drop_is_attacked():
    tried = {attack.reason for family in FAMILIES for attack in family.attacks} | {tool.reason for tool in TOOLS}
    # It takes a whole FTP session: tests/live/test_helpers.py, tests/flows/test_helpers.py.
    tried.add(Drop.UNHELPED)
    assert [drop.label for drop in Drop if drop not in tried] == []
