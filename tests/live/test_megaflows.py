"""What the datapath must remember does not grow with what a guest sends, nor with connections."""

import hashlib
import ipaddress

import pytest

from mininet_scenarios.lab import Lab
from mininet_scenarios.words import many, reaches, scan, send_frame
from tests.live.shop import RULES, VMS, Shop

# Twenty rules about app: some for the scanner, most for others.
PORTS = (22, 8000, 443, 3306, 5432, 6379, "8080-8089", 9090, 9100, 9200, 5601, 5672, 11211, 27017, "9000-9003", 6443,
         10250, 4317, 7000, 15672)  # fmt: skip
FROM = ("any", "web", "[web, db]", "{cidrs: 10.0.0.0/24}", "{cidrs: [192.0.2.0/24, 198.51.100.0/24]}", "[app, db, web]")
TWENTY = "".join(
    f"      - {{name: r{number}, allow: tcp/{port}, from: {FROM[number % len(FROM)]}, to: app}}\n"
    for number, port in enumerate(PORTS)
)


@pytest.fixture(scope="module")
def shop(module_lab: Lab) -> Shop:
    return Shop(module_lab, {"inventory.yaml": VMS, "policy.yaml": RULES + TWENTY})


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("who", ["web", "client"])
def test_a_scan_of_3000_ports_costs_few_megaflows(shop, who, family):
    shop.ovs.appctl("revalidator/purge")
    found = scan(getattr(shop, who), shop.app, 1, 3000, over=family)
    megaflows = shop.ovs.megaflows()
    assert found.closed + len(found.open) >= 1, "the scan did not even reach what is allowed"
    assert len(megaflows) < 50, "\n".join(megaflows)


def test_2000_connections_cost_no_more_megaflows_than_20(shop):
    reaches(shop.web, shop.app, "tcp/8080", over=4)
    many(shop.web, shop.app, "tcp/8080", 20, over=4)
    few = len(shop.ovs.megaflows())
    told = many(shop.web, shop.app, "tcp/8080", 2000, over=4)
    assert told.connected == 2000, told
    # A few more may stand there for what else was said meanwhile (neighbour discovery, for one).
    assert len(shop.ovs.megaflows()) <= few + 8


def test_ipv6_addresses_made_up_by_a_guest_cost_few_megaflows(shop):
    """OVS covers ranges of addresses with one megaflow only if OVSDB names the fields that tables match by prefix."""
    named = shop.ovs.vsctl("--format=csv", "--columns=prefixes", "list", "Flow_Table")
    assert "ipv6_src" in named and "ipv6_dst" in named
    mac = bytes.fromhex(shop.web.mac.replace(":", ""))
    shop.ovs.appctl("revalidator/purge")
    before = len(shop.ovs.megaflows())
    for number in range(300):
        # A UDP packet to an address out of the blue, by way of a router behind the uplink.
        target = ipaddress.IPv6Address(hashlib.sha256(bytes([number & 255, number >> 8])).digest()[:16])
        target = ipaddress.IPv6Address((0x2001 << 112) | (int(target) & ((1 << 112) - 1)))
        header = bytes.fromhex("6000000000081140") + ipaddress.IPv6Address("2001:db8::11").packed + target.packed
        frame = bytes.fromhex("525400c0ffee") + mac + bytes.fromhex("86dd") + header + bytes.fromhex("c000003500080000")
        send_frame(shop.web, frame)
    assert len(shop.ovs.megaflows()) - before < 60
