"""Carries attacks out and says what came of them: what arrived where, what was counted, and who was disturbed.

Nothing here waits for time to pass. A control frame follows each attack on the same way; what the attack could have
brought has arrived everywhere when the control frame has.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from scapy.layers.inet import UDP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

from mininet_scenarios.lab import Lab, LiveGuest
from mininet_scenarios.words import Sniffer, Stream, send_frame, sniff, still_open
from tests.attack import place as where
from tests.attack.counters import count, counted
from tests.attack.declare import (
    EVERYWHERE,
    EVIL,
    FAR,
    PREFIX,
    Attack,
    Elsewhere,
    Honest,
    Limit,
    Loss,
    Ports,
    Scene,
    Sent,
    mark_of,
    reason_label,
)
from tests.attack.place import Host, Place
from tests.attack.results import STOPPED
from tests.attack.told import tells

BROADCAST = "ff:ff:ff:ff:ff:ff"
HOSTS: dict[str, Host] = {host.name: host for host in (*where.VNICS, where.OUT)}
SIGHT = EVERYWHERE | {EVIL}
_CONTROL = b"CONTROL." * 2
# A drop is told once a second for each vNIC and reason, of at most 20 copies a second.
TOLD_EVERY, TOLD_WITHIN = 1.1, 10.0


def built(sent: Sent) -> list[bytes]:
    """Frames as bytes, with their checksums."""
    frames = [sent] if isinstance(sent, Packet | bytes) else sent
    return [bytes(frame) for frame in frames]


@dataclass(frozen=True)
class Outcome:
    """What came of an attack."""

    attack: Attack
    sent: int
    arrived: dict[str, list[bytes]]
    """Frames of the attack by where they were seen and should not have been; empty if all is well."""
    counted: int
    lost: int
    """Packets that the neighbours' stream lost meanwhile."""

    @property
    def expected(self) -> int:
        """What the reason has to have counted."""
        if self.attack.reason is Elsewhere.UPLINK:
            return 0
        return self.sent if self.attack.counted is None else self.attack.counted

    @property
    def result(self) -> str:
        """In a few words, for the page."""
        if self.arrived:
            return f"arrives at {', '.join(sorted(self.arrived))}"
        if self.counted < self.expected:
            return "stopped, not counted"
        return STOPPED if not self.lost else "stopped, neighbours disturbed"

    def check(self) -> None:
        """Raise, with what is wrong, if the attack came to anything."""
        for place, frames in self.arrived.items():
            raise AssertionError(f"{self.attack.name}: {len(frames)} frames at {place}; the first: {frames[0].hex()}")
        assert self.counted >= self.expected, (
            f"{self.attack.name}: nothing arrived, but {reason_label(self.attack.reason)} has counted {self.counted} "
            f"of {self.expected} frames"
        )
        assert not self.lost, f"{self.attack.name}: the neighbours' stream has lost {self.lost} packets"


class Battle:
    """One place under attack, with the neighbours' stream running."""

    def __init__(self, place: Place, streaming: Stream, watch: dict[str, Sniffer]) -> None:
        self.place = place
        self.stream = streaming
        self._watch = watch
        self._marked = {name: Sniffer(place.guests[name], contains=PREFIX) for name in SIGHT}
        self._controls = dict.fromkeys(watch, 0)
        self._ports = self._read_ports()
        self.quiet = self.status()
        # How far the log was when a family's attacks began, in the order of families.
        self._began: dict[str, int] = {}

    def carry_out(self, family: str, attack: Attack) -> Outcome:
        """Send an attack's frames, and see what becomes of them and of the others."""
        frames = built(attack.sends(self._scene(family, attack.name)))
        before, lost = self._count(attack), self.stream.lost
        self._began.setdefault(family, len(self.place.log.lines()))
        self._send(attack.by, frames)
        self.control(attack.by)
        arrived = self._arrived()
        seen = {name: arrived[name] for name in attack.spares - {attack.by} if name in arrived}
        outcome = Outcome(attack, len(frames), seen, 0, self.stream.lost - lost)
        if seen or not outcome.expected:
            return outcome
        found = counted(self.place.ovs, self.place.bridge, attack.reason, before + outcome.expected)
        return replace(outcome, counted=found - before)

    def arrives(self, family: str, honest: Honest | Limit | Loss) -> None:
        """Send frames of which each must arrive where it is said to."""
        frames = built(honest.sends(self._scene(family, honest.name)))
        self._send(honest.by, frames)
        for name in honest.reaches:
            self._marked[name].sees(len(frames))
        self.control(honest.by)
        self._arrived()

    def loses(self, family: str, loss: Loss) -> None:
        """Send honest frames of which not all arrive."""
        frames = built(loss.sends(self._scene(family, loss.name)))
        self._send(loss.by, frames)
        self.control(loss.by)
        arrived = self._arrived()
        for name in loss.reaches:
            assert len(arrived.get(name, [])) < len(frames), f"{loss.name}: all have arrived at {name}"

    def told(self, family: str, attack: Attack) -> None:
        """The log names the attacker and the reason, from when the family was tried, or as soon as it is tried again."""
        lines = self.place.log.lines()
        began = self._began.get(family, len(lines))
        ended = min((place for place in self._began.values() if place > began), default=len(lines))
        if tells(lines[began:ended], attack):
            return
        frames = built(attack.sends(self._scene(family, attack.name)))
        seen = len(lines)
        deadline = time.monotonic() + TOLD_WITHIN
        while time.monotonic() < deadline:
            self._send(attack.by, frames)
            self.control(attack.by)
            again = time.monotonic() + TOLD_EVERY
            while time.monotonic() < again:
                if tells(self.place.log.lines()[seen:], attack):
                    return
                time.sleep(0.05)
        raise AssertionError(f"{attack.name}: nobody is told that {attack.by} did it ({reason_label(attack.reason)})")

    def control(self, by: str) -> None:
        """Whoever attacked says something that everybody hears: then all that was sent before has been dealt with."""
        self._say(HOSTS[by], None, SIGHT - {by, FAR})
        # The other network hears nothing of it: for that one a frame from outside, sent now, comes last.
        self._say(where.OUT, where.FAR, {FAR})

    def undisturbed(self) -> None:
        """The neighbours' connection and the controller are as they were."""
        still_open(self.place.neighbours)
        assert self.place.controller.exited() is None, "the controller has ended"
        assert self.status() == self.quiet

    def close(self) -> None:
        """Stop looking."""
        for sniffer in self._marked.values():
            sniffer.close()

    def status(self) -> dict[str, Any]:
        """What the controller says, without what may change by itself: counters."""
        status = self.place.controller.status()
        vnics = [{key: vnic.get(key) for key in ("port", "state", "reason", "mac", "zone")} for vnic in status["vnics"]]
        bridges = [
            {key: bridge[key] for key in ("state", "in_force", "error", "refusals")} for bridge in status["bridges"]
        ]
        return {"enforced": status["enforced"], "policy": status["policy"], "vnics": vnics, "bridges": bridges}

    def _count(self, attack: Attack) -> int:
        if attack.reason is Elsewhere.UPLINK:
            return 0
        return count(self.place.ovs, self.place.bridge, attack.reason)

    def _scene(self, *names: str) -> Scene:
        own = Ports(self.place.own.port, where.port_of(where.HTTPS))
        neighbours = Ports(self.place.neighbours.port, where.port_of(where.TALK))
        return Scene(mark_of(*names) * 2, neighbours, self._ports, own)

    def _read_ports(self) -> Ports:
        """The stream's ports, as one of its packets tells them."""
        service = where.port_of(where.STREAM)
        with sniff(self.place.guests["ben"], {"protocol": 17, "dport": service}) as sniffer:
            sniffer.sees()
            return Ports(Ether(sniffer.frames[0])[UDP].sport, service)

    def _arrived(self) -> dict[str, list[bytes]]:
        """The marked frames that have arrived since last asked, by place."""
        found = {}
        for name, sniffer in self._marked.items():
            if frames := sniffer.frames:
                found[name] = frames
                sniffer.close()
                self._marked[name] = Sniffer(self._guest(name), contains=PREFIX)
        return found

    def _send(self, by: str, frames: Iterable[bytes]) -> None:
        for frame in frames:
            send_frame(self._guest(by), frame)

    def _say(self, by: Host, to: Host | None, heard: Iterable[str]) -> None:
        head = Ether(src=by.mac, dst=BROADCAST)
        if to is not None:
            head /= Dot1Q(vlan=to.tag)
        ask = ARP(op=1, hwsrc=by.mac, psrc=by.ip4, pdst=by.ip4)
        send_frame(self._guest(by.name), bytes(head / ask / _CONTROL))
        for name in heard:
            self._controls[name] += 1
            self._watch[name].sees(self._controls[name])

    def _guest(self, name: str) -> LiveGuest:
        return self.place.guests[name]


@contextmanager
def battle(lab: Lab) -> Iterator[Battle]:
    """A place with everything open that is to be disturbed."""
    place = Place(lab)
    with ExitStack() as stack:
        streaming = stack.enter_context(place.streaming())
        watch = {name: stack.enter_context(sniff(place.guests[name], contains=_CONTROL)) for name in SIGHT}
        battle = Battle(place, streaming, watch)
        stack.callback(battle.close)
        yield battle
