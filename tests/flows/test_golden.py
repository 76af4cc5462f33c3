"""Golden flows: what a few small policies become, line by line, reviewed as text.

`pytest --update-golden` writes the files anew. The fixed flows, the same on every bridge, have a file of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from policy.flows.bridge_book import bridge_flows
from policy.flows.compile import prepare
from policy.flows.plumbing import fixed_flows
from policy.flows.text import flows_text
from policy.model import Builtins, Document, Tier
from tests.flows.worlds import bridge, cidrs, document, policy, rule, uplink, vnic, vnic_port, who
from topology.inventory import DHCP_SERVER
from topology.learned import FIRST_USE, LEASES, Source
from topology.ports import IsolatedPort, Port, UplinkPort
from topology.vnic import Vnic

FOLDER = Path(__file__).parent / "golden"
WEB, APP, DB = who("role == web", "web"), who("role == app", "app"), who("role == db", "db")
OFFICE = cidrs("192.0.2.0/24", "2001:db8:1::/48", but=["192.0.2.66/32"], name="office")


@dataclass(frozen=True)
class Case:
    """A policy and the ports of one bridge. ``elsewhere``: vNICs on other bridges. ``learn`` as the compiler has it."""

    document: Document
    ports: tuple[Port, ...]
    elsewhere: tuple[Vnic, ...] = field(default=())
    learn: frozenset[Source] = field(default=frozenset())


def dual(name: str, number: int, role: str) -> Vnic:
    return vnic(name, number, [f"10.0.0.{number}", f"2001:db8::{number:x}"], role=role)


def untagged(*vnics: Vnic) -> tuple[Port, ...]:
    return tuple(vnic_port(10 + place, 0, found, 100 + place) for place, found in enumerate(vnics, 1))


CASES = {
    "one-vnic": Case(
        document(policy("out", rule("allow", "tcp/443", name="https", ingress=False))),
        untagged(vnic("web-1", 1, ["10.0.0.1"])),
    ),
    "two-vnics": Case(
        document(policy("shop", rule("allow", "tcp/3306", (WEB,), (DB,), "sql"))),
        (*untagged(vnic("web-1", 1, ["10.0.0.1"], role="web"), vnic("db-1", 2, ["10.0.0.2"], role="db")), uplink(1)),
    ),
    "shop": Case(
        document(
            policy(
                "shop",
                rule("allow", "tcp/443", (OFFICE,), (WEB,), "clients"),
                rule("allow", "tcp/8080-8089 icmp/echo", (WEB,), (APP,), "calls"),
                rule("allow", "tcp/3306", (APP, OFFICE), (DB,), "sql"),
                rule("reject", "any", None, (DB,), "closed", egress=False),
            )
        ),
        (*untagged(dual("web-1", 1, "web"), dual("app-1", 2, "app"), dual("db-1", 3, "db")), uplink(1)),
        (dual("web-2", 4, "web"),),
    ),
    "vlans-and-bonds": Case(
        document(),
        (
            vnic_port(11, 10, vnic("web-1", 1, ["10.0.0.1"]), 101),
            vnic_port(12, 30, vnic("lab-1", 2, ["10.0.0.1"], "lab"), 102),
            vnic_port(13, 10, vnic("router-1", 3, ["10.0.0.254"], trusted=True), 103),
            uplink(1),
            uplink(2, native_vlan=10, trunks=()),
            uplink(3, native_vlan=10, trunks=(10, 30)),
            uplink(4, native_vlan=10, trunks=(10, 30), tagged_native=True),
            uplink(5, trunks=(0, 30)),
            UplinkPort("bond", "uplink", (("bond-1", 6), ("bond-2", 7)), trunks=(10,), bond_mode="balance-slb"),
            UplinkPort("spare", "uplink", (("spare-1", 8), ("spare-2", 9)), bond_mode="active-backup"),
            IsolatedPort("stray", 20, "nobody knows it", None, "unknown-port"),
        ),
    ),
    # A sub-port in its parent's network, with a MAC of its own; one elsewhere with its parent's; one that is shut.
    "trunk": Case(
        document(policy("shop", rule("allow", "tcp/443", None, (WEB,), "clients"))),
        (
            vnic_port(11, 10, vnic("web-1", 1, ["10.0.0.1"], role="web"), 101),
            vnic_port(11, 10, vnic("web-1-a", 2, ["10.0.0.2"], role="web"), 102, 20),
            vnic_port(11, 30, vnic("web-1-b", 1, ["2001:db8::1"], "lab"), 103, 30),
            IsolatedPort("p11.40", 11, "an address of somebody else's", "web-1/web-1-c", "duplicate-address", None, 40),
            uplink(1),
        ),
    ),
    "identities": Case(
        document(
            policy(
                "names",
                rule("allow", "udp/5353", None, (cidrs("224.0.0.251/32", "ff02::fb/128", name="mdns"),), "mdns"),
                rule("allow", "any", (cidrs("10.0.0.0/8", but=["10.0.0.0/24"], name="far"),), (WEB,), "far"),
                rule("allow", "any", (cidrs("10.0.0.0/8", scope="lab", name="lab"),), None, "lab"),
            )
        ),
        (
            vnic_port(11, 10, vnic("web-1", 1, ["10.0.0.1", "10.1.0.0/30"], role="web"), 101),
            vnic_port(12, 30, vnic("lab-1", 2, ["10.0.0.1"], "lab", role="web"), 102),
            uplink(1),
        ),
    ),
    "verdicts": Case(
        document(
            policy("stop", rule("deny", "tcp/23", name="telnet"), tier=Tier.EMERGENCY),
            policy("first", rule("pass", "tcp/80-81", None, (WEB,), "to-web"), order=1),
            policy("second", rule("deny", "any", name="rest", at=(WEB,)), rule("allow", "icmp", name="ping"), order=2),
            policy("default", rule("allow", "any", name="out", ingress=False), tier=Tier.BASELINE),
            builtins=Builtins(dhcp_client=False, router_discovery=False, multicast_listener=False),
        ),
        untagged(vnic("web-1", 1, ["10.0.0.1"], role="web"), vnic("db-1", 2, ["10.0.0.2"], role="db")),
    ),
    # Found by random tests: an answered GRE connection was cut, and SCTP has no ports in older conntracks.
    "services": Case(
        document(
            policy(
                "tunnels",
                rule("allow", "proto/47", name="gre"),
                rule("allow", "sctp/3868", name="diameter"),
                rule("allow", "sctp", name="any-sctp"),
            )
        ),
        untagged(vnic("web-1", 1, ["10.0.0.1"])),
    ),
    # One that has learned nothing yet, one that has, one whose address is stated, one that serves.
    "learning": Case(
        document(),
        (
            *untagged(
                vnic("new-1", 1, []),
                replace(vnic("old-1", 2, ["10.0.0.2"]), learned=True),
                vnic("web-1", 3, ["10.0.0.3"]),
                replace(vnic("dhcp-1", 4, ["10.0.0.4"]), roles=frozenset({DHCP_SERVER})),
            ),
            uplink(1),
        ),
        learn=LEASES | FIRST_USE,
    ),
}


def golden(name: str, text: str, update: bool) -> None:
    """Compare with a golden file, or write it. What a failed comparison has found is left beside it."""
    path = FOLDER / f"{name}.txt"
    actual = path.with_suffix(".actual")
    if update:
        path.write_text(text)
    if not path.exists() or path.read_text() != text:
        actual.write_text(text)
    assert path.exists(), f"no {path.name}; see {actual.name}, and write it with --update-golden"
    assert text.splitlines() == path.read_text().splitlines(), f"see {actual}; if that is right: --update-golden"
    actual.unlink(missing_ok=True)


@pytest.fixture
def update(request) -> bool:
    return request.config.getoption("--update-golden")


@pytest.mark.parametrize("name", CASES)
def test_flows_of_a_bridge(name, update):
    case = CASES[name]
    here = bridge("br0", case.ports)
    compiled = prepare(case.document, [*(port.vnic for port in here.vnic_ports), *case.elsewhere], learn=case.learn)
    fixed = {item.key for item in fixed_flows(case.document.builtins)}  # those for learning are told with the case
    own = [item for key, item in bridge_flows(compiled, here, {}).items() if key not in fixed]
    golden(name, flows_text(own), update)


@pytest.mark.parametrize(("name", "builtins"), [("fixed", Builtins()), ("fixed-less", Builtins(False, False, False))])
def test_fixed_flows(name, builtins, update):
    golden(name, flows_text(fixed_flows(builtins)), update)


def test_no_golden_file_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.txt")} == {*CASES, "fixed", "fixed-less"}


def test_a_golden_file_names_rules_by_their_number():
    """So that a line can be found again with `explain`."""
    numbers = {entry.number for case in CASES.values() for entry in prepare(case.document, ()).rules}
    text = "".join(path.read_text() for path in FOLDER.glob("*.txt"))
    assert numbers
    assert all(f"{number:#010x}" in text for number in numbers)
