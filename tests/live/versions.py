"""Two versions of the program take turns at a bridge: what both upgrade tests are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mininet_scenarios.guest import Guest
from mininet_scenarios.lab.controller import PATIENCE
from mininet_scenarios.probes import Sniffer
from mininet_scenarios.streams import Stream, stream
from mininet_scenarios.tries import fresh_word, paths, serve
from policy.flows.cookies import layout_of
from policy.flows.slots import slot_of
from ryu_apps.generations import RETIRE_AFTER
from tests.live.shop import VMS, Shop

POLICY = """\
groups:
  web: {match: "role == web"}
  app: {match: "role == app"}
policies:
  - name: shop
    rules:
      - {name: clients, allow: [tcp/443, udp/6000-6099], from: any, to: web}
      - {name: web-app, allow: [tcp/8080, udp/5000-5099], from: web, to: app}
      - {name: out, allow: udp/7000-7099, from: app, to: any}
      - {name: closed, reject: [tcp/25, tcp/26], from: any, to: web, log: true}
"""
# Packets a second of each stream that is allowed (four of them at most), and of each that is not. The sockets of the
# switch's ports hold some 250: more than a second of the busiest, should the switch have to wait for the processor.
RATE, FORBIDDEN_RATE = 100, 50
FILES = {"inventory.yaml": VMS, "policy.yaml": POLICY}
# In `layouts`: table 0, which is in no slot.
SHARED = None


def layouts(shop: Shop) -> dict[int | None, set[int | None]]:
    """By slot, the layouts of the flows there."""
    found: dict[int | None, set[int | None]] = {}
    for line in shop.ovs.ofctl("dump-flows", shop.bridge, "--no-stats", "--no-names").splitlines():
        if " actions=" in line:
            head = dict(word.partition("=")[::2] for word in line.split(" actions=")[0].replace(",", " ").split())
            found.setdefault(slot_of(int(head.get("table", "0"))), set()).add(layout_of(int(head["cookie"], 16)))
    return found


def bridge(shop: Shop) -> dict[str, object]:
    """What the status page says of the bridge."""
    return dict(shop.controller.status()["bridges"][0])


def old_goes(shop: Shop) -> None:
    """The old generation is there still, and goes by itself."""
    slot = bridge(shop)["slot"]
    assert len(layouts(shop)) == 3, "the old generation is gone at once"
    shop.controller.told(lambda status: not status["bridges"][0]["old_slots"], within=RETIRE_AFTER + PATIENCE)
    assert layouts(shop).keys() == {SHARED, slot}
    (only,) = set.union(*layouts(shop).values())
    assert only is not None


def no_loss(shop: Shop, *streams: Stream) -> None:
    """All has arrived. If not, the switch tells what it has dropped, and why."""
    counts = {str(each): each.finish().counts() for each in streams}
    dropped = [line.split() for line in shop.ovs.appctl("coverage/show").splitlines() if "drop" in line]
    told = ", ".join(f"{words[0]} {words[-1]}" for words in dropped)
    assert not any(count["lost"] for count in counts.values()), f"{counts}; the switch has counted: {told}"


@contextlib.contextmanager
def traffic(shop: Shop) -> Iterator[tuple[Stream, ...]]:
    """Streams between two vNICs and to and from the outside, in both directions; and packets that must not pass."""
    with (
        nothing_of(shop.web, shop.db, "udp/5000"),
        nothing_of(shop.client, shop.app, "udp/5000"),
        stream(shop.web, shop.app, "udp/5000", rate=RATE, over=4) as there,
        stream(shop.web, shop.app, "udp/5001", rate=RATE, push=True, over=6) as back,
        stream(shop.client, shop.web, "udp/6000", rate=RATE, over=4) as inwards,
        stream(shop.app, shop.client, "udp/7000", rate=RATE, over=4) as outwards,
    ):
        yield there, back, inwards, outwards


@contextlib.contextmanager
def nothing_of(a: Guest, b: Guest, service: str) -> Iterator[None]:
    """`a` sends to `b` all the time, and not one packet arrives."""
    path = paths(a, b, service, 4)[0]
    serve(path)
    sniffer = Sniffer(b, path.frame_filter())
    opened = a.ask("udp.open", host=path.host, port=int(service.split("/")[1]))
    name = fresh_word("forbidden")
    a.ask("udp.send", link=opened["link"], stream=name, rate=FORBIDDEN_RATE)
    yield
    sent = int(a.ask("udp.stop", stream=name)["sent"])
    a.ask("udp.close", link=opened["link"])
    count = sniffer.count
    sniffer.close()
    assert sent > FORBIDDEN_RATE, f"{path}: only {sent} packets were sent"
    assert count == 0, f"{path}: {count} of {sent} packets leaked"
