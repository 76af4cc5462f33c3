"""The page of attacks is what the declarations say."""

from tests.attack.families import FAMILIES
from tests.attack.page import PAGE, text


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == text(), "python -m tests.attack.page --write"


def test_each_attack_has_a_name_of_its_own_and_each_family_an_honest_variant():
    for family in FAMILIES:
        names = [one.name for one in (*family.attacks, *family.honest)]
        assert len(names) == len(set(names))
        assert family.honest
