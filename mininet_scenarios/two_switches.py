"""Two switches, a trunk between them, and two VLANs on both: policy holds across the trunk, and VLANs never meet.

    python mininet_scenarios/two_switches.py

      s1:  front (red)  spare (red)  stranger (blue)         red: VLAN 10, blue: VLAN 20
       |  trunk: red and blue
      s2:  back (red)   cousin (blue)

All five are in the same IP subnets: nothing but the VLAN keeps blue from red, and the policy even allows them to meet.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from mininet_scenarios.guest import Guest
from mininet_scenarios.matrix import as_policy_says
from mininet_scenarios.play import Chapter, play
from mininet_scenarios.stage import Stage, StageGuest, stage
from mininet_scenarios.words import blocked, connect, now_cut, reaches, sniff, still_open, stream

INVENTORY = """
version: 1
networks:
  red: {vlan: 10}
  blue: {vlan: 20}
vms:
  front: {network: red, labels: {role: front}, addresses: [10.30.0.1, "2001:db8:30::1"]}
  back: {network: red, labels: {role: back}, addresses: [10.30.0.2, "2001:db8:30::2"]}
  spare: {network: red, labels: {role: spare}, addresses: [10.30.0.3, "2001:db8:30::3"]}
  stranger: {network: blue, labels: {role: front}, addresses: [10.30.0.11, "2001:db8:30::11"]}
  cousin: {network: blue, labels: {role: back}, addresses: [10.30.0.12, "2001:db8:30::12"]}
"""
FEED = "      - {name: feed, allow: udp/9000, from: front, to: back}\n"
POLICY = f"""
groups:
  front: {{match: role == front}}
  back: {{match: role == back}}
  spare: {{match: role == spare}}
policies:
  - name: across
    rules:
      - {{name: requests, allow: [tcp/8080, ping], from: front, to: back}}
{FEED}      - {{name: spare, allow: tcp/8080, from: front, to: spare}}
      # Each of these two lets only one end consent.
      - {{name: only-out, allow: tcp/7100, from: front, to: back, direction: out}}
      - {{name: only-in, allow: tcp/7200, from: front, to: back, direction: in}}
services:
  ping: icmp/echo
"""
SWITCHES = {"s1": ("front", "spare", "stranger"), "s2": ("back", "cousin")}
SERVICES = ("tcp/8080", "udp/9000", "icmp/echo", "tcp/7100", "tcp/7200")


@contextlib.contextmanager
def two_switches() -> Iterator[Stage]:
    """Both switches with their VMs, and the policy in force on both."""
    with stage({"inventory.yaml": INVENTORY, "across.yaml": POLICY}) as here:
        for switch in SWITCHES:
            here.add_switch(switch)
        here.add_trunk("s1", "s2")
        for switch, names in SWITCHES.items():
            for name in names:
                here.add_vm(name, switch)
        here.start()
        yield here


def each_vlan_for_itself(here: Stage) -> Iterator[str]:
    """In each VLAN, across the trunk: every allowed connection works, every other one is blocked."""
    for vlan in (("front", "spare", "back"), ("stranger", "cousin")):
        guests = {name: here[name] for name in vlan}
        for line in as_policy_says(here.document, guests, SERVICES):
            yield f"{', '.join(vlan)}: {line}"


def vlans_never_meet(here: Stage) -> Iterator[str]:
    """Not one frame gets from one VLAN into the other, on one switch or across, though the policy would allow it."""
    front, stranger, cousin, back = (here[name] for name in ("front", "stranger", "cousin", "back"))
    crossings = [(front, cousin), (stranger, back), (front, stranger), (cousin, back)]
    for a, b in crossings:
        # Its broadcasts and multicasts too: it asks for an address that is never answered.
        with sniff(b, {"src_mac": mac(a)}) as seen:
            for service in ("tcp/8080", "udp/9000", "icmp/echo"):
                blocked(a, b, service, watch=0.3)
            seen.sees_nothing(0.1)
        yield f"{a.name} to {b.name}: nothing arrives, not even a question for its address"
    reaches(front, back, "tcp/8080")
    reaches(stranger, cousin, "tcp/8080")
    yield "each gets through within its own VLAN, on the same switches and trunk"


def both_ends_judge(here: Stage) -> Iterator[str]:
    """A connection needs the consent of both ends, each given on its own switch."""
    front, back = here["front"], here["back"]
    with on_the_trunk(here, "s2-s1") as trunk:
        # s2's end of the trunk sees what s1 lets out.
        refused_there = watch(trunk, "s2-s1", {"dport": 7100, "vlan": 10})
        refused_here = watch(trunk, "s2-s1", {"dport": 7200})
        blocked(front, back, "tcp/7100", control="tcp/8080")
        blocked(front, back, "tcp/7200", control="tcp/8080")
        assert seen(trunk, refused_there) > 0, "front's own end should have let tcp/7100 out, onto the trunk"
        assert seen(trunk, refused_here) == 0, "front's own end should have kept tcp/7200 off the trunk"
    yield "with the caller's consent alone it crosses the trunk in its VLAN, and ends at the called end's switch"
    yield "with the called end's alone it never leaves the caller's switch"


def a_rule_goes_while_in_use(here: Stage) -> Iterator[str]:
    """A rule is removed while connections run across the trunk: they are cut, the others lose nothing."""
    front, back, stranger, cousin = (here[name] for name in ("front", "back", "stranger", "cousin"))
    requests = [connect(front, back, "tcp/8080", over=family) for family in (4, 6)]
    with (
        stream(front, back, "udp/9000", over=4) as feed,
        stream(front, back, "udp/9000", push=True, over=6) as pushed,
    ):
        with here.changed("across.yaml", FEED, ""):
            feed.stops()
            pushed.stops()
            for request in requests:
                still_open(request)
            yield "without its rule the feed stops, in both directions and families; requests go on"
        feed.starts()
        pushed.starts()
        yield "with its rule it goes on"
    with stream(stranger, cousin, "udp/9000", over=6) as other:
        with here.changed("across.yaml", "[tcp/8080, ping]", "ping"):
            for request in requests:
                now_cut(request)
            blocked(front, back, "tcp/8080", control="icmp/echo")
        assert other.finish().lost == 0, f"{other} lost {other.lost} of {other.sent} packets"
    reaches(front, back, "tcp/8080")
    yield f"requests are cut when it is their turn; a stream of {other.sent} packets in the other VLAN lost none"


def a_vm_moves(here: Stage) -> Iterator[str]:
    """A VM moves to the other switch: what it may and may not do moves with it."""
    front, spare, stranger = here["front"], here["spare"], here["stranger"]
    for switch in ("s2", "s1"):
        reaches(front, spare, "tcp/8080")
        with sniff(spare, {"src_mac": mac(stranger)}) as seen:
            spare.unplug()
            spare.plug(switch)
            reaches(front, spare, "tcp/8080", within=10)
            blocked(front, spare, "tcp/22", control="tcp/8080")
            blocked(spare, front, "tcp/8080")
            blocked(stranger, spare, "tcp/8080", watch=0.3)
            seen.sees_nothing(0.1)
        yield f"on {switch}: front reaches it on 8080 and nothing else; it does not reach front; blue does not see it"


def mac(guest: StageGuest) -> str:
    """A guest's MAC."""
    return str(guest.host.MAC())


@contextlib.contextmanager
def on_the_trunk(here: Stage, device: str) -> Iterator[Guest]:
    """Somebody who looks at a device of the switches' own namespace."""

    def spawn(command: Sequence[str]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([*command, here.lab.directory.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    watcher = Guest(device, [], spawn)
    try:
        yield watcher
    finally:
        watcher.close()


def watch(watcher: Guest, device: str, where: dict[str, int]) -> int:
    """Begin to count the frames that come in at a device; the counter's number."""
    return int(watcher.ask("frames.sniff", interface=device, where=where)["sniffer"])


def seen(watcher: Guest, counter: int) -> int:
    """How many there were."""
    return int(watcher.ask("frames.seen", sniffer=counter)["count"])


CHAPTERS: list[Chapter] = [
    each_vlan_for_itself,
    vlans_never_meet,
    both_ends_judge,
    a_rule_goes_while_in_use,
    a_vm_moves,
]


if __name__ == "__main__":
    sys.exit(play(two_switches, CHAPTERS))
