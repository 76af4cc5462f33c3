"""Every example of docs/policy.md does what the page says.

Fences say what a block is: `yaml policy` (`yaml limits`) loads by itself, `yaml file=NAME` is one file of the page's
running example (`yaml tenants=NAME` of the one with tenants, `yaml lease=NAME` of the one with a DHCP server), `yaml
refused` fails with just the messages of the `text` block after it, and `json portcullis explain …` (`json tenants
explain …`, `json lease explain …`) is the answer about a running example.
"""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from policy.errors import PolicyError
from policy.evaluate import evaluate
from policy.limit_reader import BOUNDS
from policy.limits import limits_of
from policy.load import load_texts
from policy.model import Limits, Tier
from policy.question import DEFAULT_SOURCE_PORT, decision_json, parse_question
from policy.selectors import ATTRIBUTES
from topology.vnic import offline_vnics

PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text()
BLOCKS = [
    (match[1], match[2], PAGE.count("\n", 0, match.start()) + 1)
    for match in re.finditer(r"^```([^\n]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]
EXAMPLES = {
    example: {info.removeprefix(begin): text.encode() for info, text, _ in BLOCKS if info.startswith(begin)}
    for example, begin in (("portcullis", "yaml file="), ("tenants", "yaml tenants="), ("lease", "yaml lease="))
}


def blocks(begin):
    return [pytest.param(info, text, id=f"line {line}") for info, text, line in BLOCKS if info.startswith(begin)]


def with_version(text):
    return text if "version:" in text else text + "version: 1\n"


def test_every_block_is_of_a_known_kind():
    kinds = [re.sub(r"=.*| explain .*", "", info) for info, _, _ in BLOCKS]
    assert set(kinds) == {
        *("yaml policy", "yaml file", "yaml tenants", "yaml lease", "yaml limits", "yaml refused", "text"),
        *("json portcullis", "json tenants", "json lease"),
    }
    assert kinds.count("text") == kinds.count("yaml refused") > 3


@pytest.mark.parametrize(("info", "text"), [*blocks("yaml policy"), *blocks("yaml limits")])
def test_examples_load(info, text):
    assert load_texts({"policy.yaml": with_version(text).encode()})


REFUSED = [
    pytest.param(text, expected, id=f"line {line}")
    for (info, text, line), (_, expected, _) in pairwise(BLOCKS)
    if info == "yaml refused"
]


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_mistakes_are_told_in_these_words(text, expected):
    with pytest.raises(PolicyError) as raised:
        load_texts({"policy.yaml": with_version(text).encode()})
    assert str(raised.value) == expected.rstrip("\n")


@pytest.mark.parametrize(("info", "text"), blocks("json"))
def test_questions_are_answered_so(info, text):
    _, example, _, *words = shlex.split(info)
    options = dict(zip(words[::2], words[1::2], strict=True))
    document = load_texts(EXAMPLES[example])
    port = int(options.get("--source-port", DEFAULT_SOURCE_PORT))
    asked = parse_question(document, options["--from"], options["--to"], options["--service"], source_port=port)
    assert json.dumps(decision_json(evaluate(document, asked)), indent=2) == text.rstrip("\n")


def table(head):
    """The cells of the table that begins with this cell, without quotes, numbers without commas."""
    (rows,) = re.findall(rf"^\| {head} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip(" `").replace(",", "") for cell in row.split("|")[1:-1]] for row in rows.splitlines()]


def test_the_limits_there_are():
    told = {name: ((int(lowest), int(highest)), int(usual)) for name, _, lowest, highest, usual in table("limit")}
    assert told == {name: (bounds, getattr(Limits(), name)) for name, bounds in BOUNDS.items()}
    assert list(told) == list(BOUNDS)


def test_limits_come_to_this():
    ((_, text, _),) = (block for block in BLOCKS if block[0] == "yaml limits")
    document = load_texts({"policy.yaml": with_version(text).encode()})
    found = {vnic.vm: limits_of(document, vnic) for vnic in offline_vnics(document.inventory)}
    assert found == {name: Limits(*map(int, numbers)) for name, *numbers in table("vNIC of")}


def test_the_page_names_what_there_is():
    for name in [*ATTRIBUTES, *(tier.label for tier in Tier)]:
        assert f"`{name}`" in PAGE, name
