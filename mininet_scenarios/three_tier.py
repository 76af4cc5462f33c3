"""The shop: web, application and database tiers in one subnet, a bastion, and the world outside, over IPv4 and IPv6.

    python mininet_scenarios/three_tier.py

The network and the policy are those of `examples/shop` (see `shop.py`).
"""

import sys
from collections.abc import Iterator

from mininet_scenarios.matrix import as_policy_says
from mininet_scenarios.play import Chapter, play
from mininet_scenarios.shop import running_shop
from mininet_scenarios.stage import Stage
from mininet_scenarios.words import blocked, connect, now_cut, reaches, scan, sniff, still_open, stream

WEB_TO_APP = "      - {name: web-to-app, allow: shop-api, from: web, to: app}\n"
PRICES = "      - {name: prices, allow: price-feed, from: web, to: app}\n"
CACHE = "      - {name: cache, allow: tcp/6379, from: web, to: db}\n"


def everybody_to_everybody(shop: Stage) -> Iterator[str]:
    """Every allowed connection works, every other one is blocked, between all hosts, over IPv4 and IPv6."""
    services = ["tcp/443", "tcp/8080", "udp/9000", "tcp/3306", "tcp/5432", "tcp/22", "udp/53", "tcp/9100", "icmp/echo"]
    yield from as_policy_says(shop.document, shop.guests, services)


def the_edges(shop: Stage) -> Iterator[str]:
    """A rule allows what it says and not one port more, in the direction it says."""
    client, web1, app1 = shop["client"], shop["web1"], shop["app1"]
    reaches(web1, app1, "tcp/8080")
    reaches(web1, app1, "tcp/8089")
    blocked(web1, app1, "tcp/8079", control="tcp/8080")
    blocked(web1, app1, "tcp/8090", control="tcp/8080")
    blocked(web1, app1, "udp/8080", control="tcp/8080")
    yield "web reaches app on 8080 and 8089, not on 8079 or 8090"
    blocked(app1, web1, "tcp/8080")
    blocked(shop["web2"], web1, "tcp/443")
    yield "app does not reach web, nor web its own tier"
    web1.serve("tcp/443")
    found = scan(client, web1, 1, 1024)
    assert found.open == (443,), f"a scan from outside found open ports {found.open}"
    assert found.closed == 0, f"{found.closed} closed ports told a scan from outside that they are there"
    yield f"a port scan from outside finds 443 and silence, in {found.seconds:.1f} s"


def established_connections_stay(shop: Stage) -> Iterator[str]:
    """What is allowed stays open while the policy changes around it."""
    pairs = [
        ("client", "web1", "tcp/443"),
        ("web1", "app1", "tcp/8080"),
        ("app1", "db1", "tcp/3306"),
        ("app2", "db2", "tcp/5432"),
        ("bastion", "db2", "tcp/22"),
        ("office", "bastion", "tcp/22"),
        ("monitor", "web2", "tcp/9100"),
        ("db1", "dns", "udp/53"),
    ]
    links = [connect(shop[a], shop[b], service, over=family) for a, b, service in pairs for family in (4, 6)]
    yield f"{len(links)} connections are open"
    with stream(shop["db1"], shop["monitor"], "udp/8125", over=6) as counters:
        with shop.changed("shop.yaml", PRICES, PRICES + CACHE):
            pass
        lost = counters.finish().lost
    assert lost == 0, f"{counters} lost {lost} of {counters.sent} packets"
    for link in links:
        still_open(link)
        link.close()
    yield f"a rule came and went: all are still open, and a stream of {counters.sent} packets lost none"


def a_rule_is_added(shop: Stage) -> Iterator[str]:
    """A rule is added, and what it allows works; it is removed, and that is over."""
    web1, db1 = shop["web1"], shop["db1"]
    blocked(web1, db1, "tcp/6379")
    with shop.changed("shop.yaml", PRICES, PRICES + CACHE):
        reaches(web1, db1, "tcp/6379")
        blocked(web1, db1, "tcp/3306", control="tcp/6379")
        link = connect(web1, db1, "tcp/6379")
        yield "web reaches db on 6379 and on nothing else"
    now_cut(link)
    blocked(web1, db1, "tcp/6379")
    yield "web does not reach db any more; the connection that was open is cut"


def a_rule_is_removed(shop: Stage) -> Iterator[str]:
    """A rule is removed: its connections are cut, also where only the far end still speaks; no other loses a packet."""
    web1, web2, app1, app2 = (shop[name] for name in ("web1", "web2", "app1", "app2"))
    requests = [connect(web1, app1, "tcp/8080", over=family) for family in (4, 6)]
    with (
        stream(web1, app1, "udp/9000", push=True, over=4) as prices,
        stream(web2, app2, "udp/9000", push=True, over=6) as prices6,
        stream(app1, shop["monitor"], "udp/8125", over=4) as counters,
        stream(app2, shop["monitor"], "udp/8125", over=6) as counters6,
    ):
        with shop.changed("shop.yaml", PRICES, ""):
            prices.stops()
            prices6.stops()
            yield "without the rule 'prices' the feeds that app pushes to web stop, though web never said a word"
            for request in requests:
                still_open(request)
        prices.starts()
        prices6.starts()
        yield "with the rule they go on; connections of other rules were open all the time"
        with shop.changed("shop.yaml", WEB_TO_APP, ""):
            for request in requests:
                now_cut(request)
            blocked(web1, app1, "tcp/8080")
            yield "without the rule 'web-to-app' its connections are cut and no new one comes through"
        for kept in (counters, counters6):
            assert kept.finish().lost == 0, f"{kept} lost {kept.lost} of {kept.sent} packets"
        yield f"two streams of other rules, {counters.sent} and {counters6.sent} packets, lost none"
    reaches(web1, app1, "tcp/8080")


def an_address_is_banned(shop: Stage) -> Iterator[str]:
    """A customer attacks, and is banned in the emergency tier: cut at once, whatever else allows it."""
    client, office, web1 = shop["client"], shop["office"], shop["web1"]
    attacks = [connect(client, web1, "tcp/443", over=family) for family in (4, 6)]
    customer = connect(office, web1, "tcp/443")
    with shop.changed("groups.yaml", "203.0.113.66, ", '203.0.113.66, 203.0.113.9, "2001:db8:ffff::9", '):
        for attack in attacks:
            now_cut(attack)
        blocked(client, web1, "tcp/443")
        still_open(customer)
        yield "the attacker is cut over IPv4 and IPv6; other customers notice nothing"
    reaches(client, web1, "tcp/443")
    customer.close()
    yield "forgiven, it is a customer again"


def a_vm_is_relabelled(shop: Stage) -> Iterator[str]:
    """A VM changes its role: it loses what the old one allowed, open connections included, and gains the new one's."""
    client, web1, web2, db1 = (shop[name] for name in ("client", "web1", "web2", "db1"))
    link = connect(client, web2, "tcp/443")
    other = connect(client, web1, "tcp/443")
    blocked(web2, db1, "tcp/3306")
    with shop.relabelled("web2", "{app: shop, role: app}"):
        now_cut(link)
        blocked(client, web2, "tcp/443")
        reaches(web2, db1, "tcp/3306")
        reaches(web1, web2, "tcp/8080")
        blocked(web2, shop["app1"], "tcp/8080")
        still_open(other)
        yield "web2 is of the app tier now: customers are cut off, MySQL answers; web1 notices nothing"
    reaches(client, web2, "tcp/443")
    blocked(web2, db1, "tcp/3306")
    other.close()
    yield "web2 is what it was"


def a_vm_is_plugged_in_again(shop: Stage) -> Iterator[str]:
    """A VM is unplugged and plugged in again: firewalled from its first packet, without anybody's doing."""
    client, web1, app1, db1 = (shop[name] for name in ("client", "web1", "app1", "db1"))
    controller = shop.controller.pid
    with (
        stream(shop["web2"], shop["app2"], "udp/9000") as others,
        sniff(db1, {"src": web1.address(4)}) as seen,
        sniff(db1, {"src": web1.address(6)}) as seen6,
    ):
        # web1 tries the database all the time: a gap in the firewall, however short, would let something through.
        tries = [
            web1.begin("tcp.many", host=db1.address(family), port=3306, count=400, timeout=0.05, parallel=5)
            for family in (4, 6)
        ]
        web1.unplug()
        blocked(client, web1, "tcp/443", watch=0.3)
        yield "unplugged, web1 is gone"
        web1.plug()
        reaches(client, web1, "tcp/443")
        reaches(web1, app1, "tcp/8080")
        yield "plugged in, it is what it was"
        for begun in tries:
            assert "connected" not in web1.answer(begun, 30)["outcomes"], "web1 reached the database"
        seen.sees_nothing()
        seen6.sees_nothing()
        yield "of 800 tries to reach the database meanwhile not one packet arrived"
        assert others.finish().lost == 0, f"{others} lost {others.lost} of {others.sent} packets"
    blocked(web1, db1, "tcp/3306")
    assert shop.controller.pid == controller
    yield f"a stream between others, {others.sent} packets, lost none"


CHAPTERS: list[Chapter] = [
    everybody_to_everybody,
    the_edges,
    established_connections_stay,
    a_rule_is_added,
    a_rule_is_removed,
    an_address_is_banned,
    a_vm_is_relabelled,
    a_vm_is_plugged_in_again,
]


if __name__ == "__main__":
    sys.exit(play(running_shop, CHAPTERS))
