"""The firewall on a live switch: what policy allows reaches, everything else is blocked."""

import pytest

from mininet_scenarios.lab import Lab
from mininet_scenarios.words import blocked, connect, reaches, send_frame, sniff, still_open
from tests.live.shop import Shop


@pytest.fixture(scope="module")
def shop(module_lab: Lab) -> Shop:
    return Shop(module_lab)


ALLOWED = [
    ("client", "web", "tcp/443"),
    ("client", "web", "icmp/echo"),
    ("app", "web", "tcp/443"),
    ("web", "app", "tcp/8080"),
    ("web", "app", "udp/5000"),
    ("web", "app", "icmp/echo"),
    ("app", "db", "tcp/3306"),
]
DENIED = [
    ("client", "web", "tcp/22"),
    ("client", "app", "tcp/8080"),
    ("client", "db", "icmp/echo"),
    ("web", "db", "tcp/3306"),
    ("app", "web", "tcp/80"),
    ("db", "app", "tcp/8080"),
    ("web", "app", "udp/5001"),
    ("db", "client", "udp/53"),
    ("app", "client", "tcp/80"),
]


@pytest.mark.parametrize(("source", "target", "service"), ALLOWED)
def test_what_policy_allows_reaches(shop, source, target, service):
    reaches(getattr(shop, source), getattr(shop, target), service)


@pytest.mark.parametrize(("source", "target", "service"), DENIED)
def test_everything_else_is_blocked(shop, source, target, service):
    blocked(getattr(shop, source), getattr(shop, target), service)


def test_a_connection_stays_open(shop):
    link = connect(shop.web, shop.app, "tcp/8080")
    still_open(link)


def test_an_icmp_error_comes_back_with_its_connection(shop):
    """Nobody serves the port: the answer is an ICMP error, which no rule of its own allows."""
    shop.app.stop_serving("udp/5000")
    for host in ("10.0.0.12", "2001:db8::12"):
        link = shop.web.ask("udp.open", host=host, port=5000)["link"]
        assert shop.web.ask("udp.ask", link=link, text="anybody there?", timeout=2)["outcome"] == "refused"


def test_a_guest_cannot_speak_with_another_address(shop):
    shop.web.add_address("10.0.0.77/24")
    with sniff(shop.app, {"src": "10.0.0.77"}) as at_app, sniff(shop.client, {"src": "10.0.0.77"}) as outside:
        shop.web.run("sh", "-c", "ping -c 2 -W 1 -I 10.0.0.77 10.0.0.12 || true")
        at_app.sees_nothing()
        outside.sees_nothing()


def test_a_guest_cannot_speak_with_another_mac(shop):
    frame = bytes.fromhex("ffffffffffff" + "525400bad0ad" + "0806" + "0001080006040001" + "525400bad0ad" + "0a00000b"
                          + "000000000000" + "0a00000c")  # fmt: skip
    with sniff(shop.app, {"src_mac": "52:54:00:ba:d0:ad"}) as at_app:
        send_frame(shop.web, frame)
        at_app.sees_nothing()


def test_unknown_unicast_never_reaches_a_vnic(shop):
    """A MAC that nobody has told us goes to the uplinks only."""
    mac = bytes.fromhex(shop.web.mac.replace(":", ""))
    packet = bytes.fromhex("4500001c000100004011") + bytes(2) + bytes([10, 0, 0, 11, 10, 0, 0, 200]) + bytes(8)
    frame = bytes.fromhex("525400c0ffee") + mac + bytes.fromhex("0800") + packet
    with sniff(shop.app, {"dst_mac": "52:54:00:c0:ff:ee"}) as at_app:
        send_frame(shop.web, frame)
        at_app.sees_nothing()
