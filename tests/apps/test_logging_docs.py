"""docs/logging.md: its lines are what is really written, its tables name every key, its commands exist."""

import json
import re
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP, Ether

from policy.flows.cookies import Drop
from ryu_apps.reports.sinks import sink_of
from tests.apps.reporting import APP, POLICY, at, number, punted, reports, tcp
from tests.topology.builders import MAC_1, MAC_2

PAGE = (Path(__file__).parents[2] / "docs" / "logging.md").read_text()
BLOCKS = dict(re.findall(r"^```(?:json|yaml) (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def written(kind):
    """The line of one kind of event."""
    it = reports()
    facts = {
        "connection": lambda: punted(number(it._engine, "shop/web-app"), tcp()),
        "audit": lambda: punted(number(it._engine, "trial/tight"), tcp()),
        "drop": lambda: punted(
            Drop.SPOOFED_SOURCE,
            bytes(Ether(src=MAC_1, dst=MAC_2) / IP(src="10.0.0.99", dst=APP) / UDP(sport=9, dport=53)),
            "GUARD",
        ),
    }
    (line,) = it.hear([facts[kind]()], at(0)).lines
    return line.text


def test_the_policy_is_the_one_that_the_lines_are_about():
    assert BLOCKS["policy"] == POLICY


@pytest.mark.parametrize("kind", ["connection", "audit", "drop"])
def test_each_line_is_what_is_written(kind):
    assert BLOCKS[kind] == written(kind) + "\n"


@pytest.mark.parametrize(("kind", "heading"), [("connection", "connection and audit"), ("drop", "drop")])
def test_the_table_names_every_key_in_its_order(kind, heading):
    section = PAGE.split(f"\n## Keys of {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    assert [key for row in rows for key in re.findall(r"`(\w+)`", row)] == list(json.loads(written(kind)))


def test_each_sink_is_one():
    named = re.findall(r"^\| `((?:file|syslog|stdout)[^`]*)` \|", PAGE, re.MULTILINE)
    assert len(named) == 5
    for name in named:
        assert sink_of(name.replace("HOST:PORT", "log.example:514"))
