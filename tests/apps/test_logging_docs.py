"""docs/logging.md: its lines are what is really written, its tables name every key, its commands exist."""

import json
import re
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP, Ether

from policy.flows.cookies import Drop
from ryu_apps.facts import DriftFound
from ryu_apps.reports import happenings
from ryu_apps.reports.happenings import Happenings
from ryu_apps.reports.sinks import sink_of
from tests.apps.reporting import APP, POLICY, at, number, punted, reports, tcp, world
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


def drift():
    """The lines of a drift, of which a flow in words depends on how flows are written today."""
    it = world()
    teller = Happenings(it.engine)
    teller.look([], 0)
    flow = next(each for each in it.switches[1].flows.values() if each.cookie == number(it.engine, "shop/web-app"))
    found = DriftFound(1, 1, 0, 0, "missing: …", flow.cookie)
    found, repaired = teller.look([found], at(0).wall)
    return f"{found.text}\n{repaired.text}\n".replace("\\u2026", "…")


def test_the_lines_about_the_firewall_itself():
    assert BLOCKS["drift"] == drift()


def test_the_tables_of_the_firewalls_own_events():
    section = PAGE.split("\n## Events of the firewall itself\n")[1]
    states, keys = (re.findall(r"^\| (.*)$", table, re.MULTILINE) for table in section.split("\n| key | meaning |\n"))
    told = [key for row in keys for key in re.findall(r"`(\w+)`", row.partition(" |")[0])]
    assert told == list(json.loads(drift().splitlines()[0]))
    named = {word for row in states for word in re.findall(r"`([a-z-]+)`", " ".join(row.split("|")[:2]))}
    source = Path(happenings.__file__).read_text()
    assert {word for word in named if f'"{word}"' not in source} == set()
    events = (happenings.POLICY, happenings.CONTROLLER, happenings.BRIDGE, happenings.DRIFT, happenings.VNIC)
    assert {*events, *happenings.GRAVE} <= named


def test_each_sink_is_one():
    named = re.findall(r"^\| `((?:file|syslog|stdout)[^`]*)` \|", PAGE, re.MULTILINE)
    assert len(named) == 5
    for name in named:
        assert sink_of(name.replace("HOST:PORT", "log.example:514"))
