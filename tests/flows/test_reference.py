"""The page about the pipeline tells the truth of now."""

from __future__ import annotations

import pytest

from policy.flows.fields import register_parts
from policy.flows.reference import PAGE, PART, UnknownPart, generators, main, refreshed
from policy.flows.sample import DB_PORT, OUTSIDE_PORT, WEB_PORT, sample, stories
from policy.flows.tables import TABLES


def test_the_page_is_fresh():
    assert PAGE.read_text() == refreshed(PAGE.read_text()), "python -m policy.flows.reference --write"
    assert main([]) == 0


def test_everything_that_is_generated_is_on_the_page_once():
    assert sorted(found[1] for found in PART.findall(PAGE.read_text())) == sorted(generators(sample()))


def test_an_unknown_part_is_refused():
    with pytest.raises(UnknownPart, match="'nonsense'"):
        refreshed("<!-- generated: nonsense -->\n<!-- end -->")


def test_each_table_and_register_has_a_row():
    made = generators(sample())
    assert len(list(made["tables"]())) == 2 + len(TABLES)
    assert len(list(made["registers"]())) == 2 + len(list(register_parts()))


def test_stories_end_as_they_are_told():
    ends = {name: walk.ports() for name, walk in stories(sample().flows).items()}
    assert ends == {
        "query": (DB_PORT,),
        "answer": (WEB_PORT,),
        "later": (DB_PORT,),
        "error": (WEB_PORT,),
        "flood": (OUTSIDE_PORT, DB_PORT),
        "untracked": (DB_PORT,),
        "call": (WEB_PORT,),
        "login": (WEB_PORT,),
        "file": (OUTSIDE_PORT,),
        "refused": (),
        "spoofed": (),
    }
