"""The equipment itself, on a plain switch: what the words claim is so, and they deny what is not.

The tests of the firewall stand on these: `blocked` is worth something only if it fails when traffic passes.
"""

import os
import signal
import threading
import time

import pytest

from mininet_scenarios.lab import Lab, LiveGuest, Ovs
from mininet_scenarios.lab.shell import run
from mininet_scenarios.words import (
    blocked,
    connect,
    many,
    now_cut,
    reaches,
    rejected,
    scan,
    send_frame,
    sniff,
    still_open,
    stream,
)


class Pair:
    """Two guests on one plain switch; and how to stop what goes from one to the other."""

    def __init__(self, lab: Lab) -> None:
        self.ovs: Ovs = lab.ovs()
        self.bridge = self.ovs.add_bridge()
        self.ovs.normal(self.bridge)
        self.web: LiveGuest = lab.guest(self.ovs, self.bridge, "web", ["10.0.0.11/24", "2001:db8::11/64"])
        self.db: LiveGuest = lab.guest(self.ovs, self.bridge, "db", ["10.0.0.21/24", "2001:db8::21/64"])

    def add(self, *flows: str) -> None:
        """Put more flows on top of the plain switch."""
        for flow in flows:
            self.ovs.ofctl("add-flow", self.bridge, f"priority=100,{flow}")
        # Until the datapath has followed, a packet may still pass as before; how long that takes is not tested here.
        self.ovs.settle()

    def plain(self) -> None:
        """The plain switch again."""
        self.ovs.ofctl("del-flows", self.bridge)
        self.ovs.normal(self.bridge)
        self.ovs.settle()


@pytest.fixture(scope="module")
def the_pair(module_lab: Lab) -> Pair:
    return Pair(module_lab)


@pytest.fixture
def pair(the_pair: Pair) -> Pair:
    the_pair.plain()
    return the_pair


@pytest.mark.parametrize("service", ["tcp/443", "udp/53", "icmp/echo"])
def test_what_passes_reaches_and_is_not_blocked(pair, service):
    reaches(pair.web, pair.db, service)
    for family in (4, 6):
        with pytest.raises(AssertionError, match=rf"web .* to db .*, {service} over IPv{family}.*came through"):
            blocked(pair.web, pair.db, service, over=family)


@pytest.mark.parametrize("service", ["tcp/443", "udp/53", "icmp/echo"])
@pytest.mark.parametrize(("family", "ether"), [(4, "ip"), (6, "ipv6")])
def test_what_is_dropped_is_blocked_and_does_not_reach(pair, service, family, ether):
    word = {"tcp/443": "tcp", "udp/53": "udp", "icmp/echo": "icmp"}[service] + ("6" if family == 6 else "")
    match = {"icmp": "icmp,icmp_type=8", "icmp6": "icmp6,icmp_type=128"}.get(word, word)
    pair.add(f"{match},in_port={pair.web.port},actions=drop")
    blocked(pair.web, pair.db, service, over=family, watch=0.3)
    with pytest.raises(AssertionError, match=f"web .* to db .*, {service} over IPv{family}: should get through"):
        reaches(pair.web, pair.db, service, over=family, within=0.3)


def test_blocked_sees_a_packet_that_arrives_even_if_no_answer_comes_back(pair):
    pair.add(f"tcp,in_port={pair.db.port},actions=drop")
    with pytest.raises(AssertionError, match=r"packets of .* tries arrived at db"):
        blocked(pair.web, pair.db, "tcp/443", over=4)


def test_blocked_wants_its_control_to_get_through(pair):
    pair.add(f"tcp,in_port={pair.web.port},tcp_dst=22,actions=drop")
    blocked(pair.web, pair.db, "tcp/22", over=4, watch=0.3, control="tcp/443")
    pair.add(f"tcp,in_port={pair.web.port},actions=drop")
    with pytest.raises(AssertionError, match="tcp/443 over IPv4: should get through"):
        blocked(pair.web, pair.db, "tcp/22", over=4, watch=0.3, control="tcp/443")


def test_reaches_waits_for_what_becomes_true(pair):
    pair.db.shut_port()
    opens = threading.Timer(0.5, pair.db.open_port)
    opens.start()
    reaches(pair.web, pair.db, "tcp/443", over=4)
    opens.join()


def test_a_refusal_is_a_no_and_silence_is_not(pair):
    pair.db.serve("tcp/444")
    pair.db.stop_serving("tcp/444")
    refused = pair.web.ask("tcp.connect", host="10.0.0.21", port=444, timeout=1)
    assert refused["outcome"] == "refused"
    with pytest.raises(AssertionError, match="should be rejected, but came through"):
        rejected(pair.web, pair.db, "tcp/443")
    pair.add(f"tcp,in_port={pair.web.port},actions=drop")
    with pytest.raises(AssertionError, match="nobody said no"):
        rejected(pair.web, pair.db, "tcp/443", over=4, within=0.5)


@pytest.mark.parametrize("service", ["tcp/443", "udp/53"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_link_is_open_until_it_is_cut(pair, service, family):
    link = connect(pair.web, pair.db, service, over=family)
    still_open(link)
    with pytest.raises(AssertionError, match="still passes from web to db and from db to web"):
        now_cut(link)
    word = service.partition("/")[0] + ("6" if family == 6 else "")
    pair.add(f"{word},in_port={pair.db.port},actions=drop")
    with pytest.raises(AssertionError, match=r"still passes from web to db$"):
        now_cut(link, watch=0.3)
    pair.add(f"{word},in_port={pair.web.port},actions=drop")
    now_cut(link, watch=0.3)
    with pytest.raises(AssertionError, match="should still be open"):
        still_open(link, within=0.3)
    pair.plain()
    still_open(link)
    link.close()


@pytest.mark.parametrize("push", [False, True], ids=["sent", "pushed"])
@pytest.mark.parametrize("rate", [500, 1000])
def test_a_stream_counts_every_packet(pair, push, rate):
    family = 6 if rate == 1000 else 4
    with stream(pair.web, pair.db, "udp/5000", rate=rate, push=push, over=family) as running:
        came = running.runs(1.0)
        assert came == pytest.approx(rate, rel=0.25)
        running.finish()
        assert running.lost == 0
        assert running.received == running.sent


@pytest.mark.parametrize("push", [False, True], ids=["sent", "pushed"])
def test_a_stream_notices_a_moment_without_a_port(pair, push):
    with stream(pair.web, pair.db, "udp/5000", rate=500, push=push) as running:
        running.runs(0.3)
        assert running.lost == 0
        receiver = running.receiver
        assert isinstance(receiver, LiveGuest)
        pair.ovs.ofctl("mod-port", pair.bridge, receiver.port, "no-forward")
        running.stops(quiet=0.3)
        pair.ovs.ofctl("mod-port", pair.bridge, receiver.port, "forward")
        running.starts()
        running.runs(0.2)
        running.finish()
        assert running.lost > 100
        assert running.longest_gap > 0.25


def test_a_receiver_that_does_not_run_for_a_moment_is_no_loss(pair):
    """On a busy machine it may have to wait for the processor."""
    with stream(pair.web, pair.db, "udp/5000", rate=500) as running:
        agents = [int(word) for word in run("ip", "netns", "pids", pair.db.namespace).split()]
        for pid in agents:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(1.5)  # the moment
        for pid in agents:
            os.kill(pid, signal.SIGCONT)
        assert running.finish().lost == 0
        assert running.longest_gap > 1


def test_stops_denies_a_stream_that_runs(pair):
    with (
        stream(pair.web, pair.db, "udp/5000", over=6) as running,
        pytest.raises(AssertionError, match=r"should have stopped within 0\.2 s, but still delivers"),
    ):
        running.stops(within=0.2, quiet=1.0)


@pytest.mark.parametrize("family", [4, 6])
def test_a_scan_tells_open_closed_and_silent(pair, family):
    pair.db.serve("tcp/443")
    word = "tcp" if family == 4 else "tcp6"
    for ports in ("tcp_dst=0x800/0xfff8", "tcp_dst=80"):
        pair.add(f"{word},in_port={pair.web.port},{ports},actions=drop")
    found = scan(pair.web, pair.db, 1, 3000, over=family, rate=3000)
    assert 443 in found.open
    assert found.silent == 9
    assert found.closed + found.silent + len(found.open) == 3000


def test_two_thousand_connections(pair):
    result = many(pair.web, pair.db, "tcp/80", 2000)
    assert result.connected == 2000, str(result)


def test_raw_frames_are_sent_and_counted(pair):
    frame = bytes.fromhex("ffffffffffff" + "525400ffffff" + "88b5") + b"portcullis".ljust(50)
    with (
        sniff(pair.db, {"src_mac": "52:54:00:ff:ff:ff"}, b"portcullis") as seen,
        sniff(pair.db, {"ethertype": 0x88B5}, b"something else") as unseen,
    ):
        send_frame(pair.web, frame, count=5)
        seen.sees(5)
        assert frame in seen.frames
        unseen.sees_nothing(0.2)
        with pytest.raises(AssertionError, match=r"db should see no frame .* saw 5"):
            seen.sees_nothing(0.1)
        with pytest.raises(AssertionError, match="db should see 6 frames"):
            seen.sees(6, within=0.1)


def test_a_sniffer_sees_vlan_tags(lab):
    ovs = lab.ovs()
    bridge = ovs.add_bridge()
    ovs.normal(bridge)
    access = lab.guest(ovs, bridge, "access", ["10.0.0.1/24"], tag=30)
    trunk = lab.outside(ovs, bridge, "trunk", ["10.0.0.2/24"])
    with sniff(trunk, {"ethertype": 0x0806, "vlan": 30}) as tagged:
        access.begin("icmp.ping", host="10.0.0.9", timeout=0.1)
        tagged.sees(1)
    blocked(access, trunk, "icmp/echo", watch=0.2)
