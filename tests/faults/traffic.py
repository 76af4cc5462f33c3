"""What goes on while something breaks: streams that must lose nothing, and knocking that must never be heard."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from mininet_scenarios.guest import Service
from mininet_scenarios.lab import LiveGuest
from mininet_scenarios.probes import Sniffer
from mininet_scenarios.streams import Stream, stream
from mininet_scenarios.tries import fresh_word
from tests.live.shop import Shop

RATE, KNOCKS = 500, 200


@dataclass(frozen=True)
class Measured:
    """Packets of allowed streams that were sent and lost, the longest silence of any, and packets of forbidden ones
    that were sent and that arrived."""

    sent: int
    lost: int
    longest_gap: float
    knocked: int
    leaked: int


class Knocking:
    """A guest sends UDP all the time to where it may not; what arrives there is counted at the other's door."""

    def __init__(self, a: LiveGuest, b: LiveGuest, service: str) -> None:
        # Known neighbours need no ARP, which would fall silent when the network does.
        a.run("ip", "neigh", "replace", b.address(4), "lladdr", b.mac, "dev", "eth0", "nud", "permanent")
        port = Service.parse(service).port
        self._at = Sniffer(b, {"src": a.address(4), "protocol": 17, "dport": port})
        self._from, self._name = a, fresh_word("knock")
        self._link = a.ask("udp.open", host=b.address(4), port=port)["link"]
        a.ask("udp.send", link=self._link, stream=self._name, rate=KNOCKS)

    @property
    def sent(self) -> int:
        return int(self._from.ask("udp.sent", stream=self._name)["sent"])

    @property
    def arrived(self) -> int:
        return self._at.count

    def close(self) -> None:
        self._from.ask("udp.stop", stream=self._name)
        self._from.ask("udp.close", link=self._link)
        self._at.close()


@dataclass
class Traffic:
    """Allowed streams of the shop, and two guests who knock."""

    streams: list[Stream]
    knocking: list[Knocking]
    _measured: Measured | None = field(default=None)

    def runs(self, seconds: float) -> None:
        """Let it go on for a time."""
        self.streams[0].runs(seconds)

    def starts(self, within: float) -> None:
        """All streams are heard again."""
        for each in self.streams:
            each.starts(within)

    def finish(self) -> Measured:
        """Stop all, and count."""
        if self._measured is None:
            streams = [each.finish().counts() for each in self.streams]
            self._measured = Measured(
                sum(counts["expected"] for counts in streams),
                sum(counts["lost"] for counts in streams),
                max(counts["longest_gap"] for counts in streams),
                sum(each.sent for each in self.knocking),
                sum(each.arrived for each in self.knocking),
            )
        assert self._measured.knocked > 0, "nobody has knocked"
        return self._measured


@contextlib.contextmanager
def traffic(shop: Shop, *, push: bool = True) -> Iterator[Traffic]:
    """Traffic for as long as the block lasts: a stream over IPv4, and one over IPv6, which only the server feeds.

    Without ``push`` the client feeds both: where conntrack's memory is lost, a connection is known again only when a
    packet goes the way that it was opened.
    """
    with contextlib.ExitStack() as exits:
        streams = [
            exits.enter_context(stream(shop.web, shop.app, "udp/5000", rate=RATE, over=4)),
            exits.enter_context(stream(shop.web, shop.app, "udp/5000", rate=RATE, over=6, push=push)),
        ]
        knocking = [Knocking(shop.web, shop.db, "udp/5001"), Knocking(shop.client, shop.app, "udp/5002")]
        for each in knocking:
            exits.callback(each.close)
        yield Traffic(streams, knocking)
