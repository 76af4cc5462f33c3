"""Bundles on a real Open vSwitch: all of one or nothing, whatever is wrong with it and whenever OVS finds out."""

import socket
import struct

import pytest
from ryu.ofproto.ofproto_parser import header

from policy.flows import wire
from ryu_apps.engine import NO_POLICY
from ryu_apps.facts import BundleDone, BundleRefused, FlowsRead, FlowsTold, ReadFlows, SendBundle
from ryu_apps.switches.readings import read
from tests.apps.switch_room import BRIDGE, FLOWS, Room
from tests.flows.worlds import bridge_meters
from tests.live.private_ovs import PrivateOvs

# A match on a field that no OVS knows: OVS finds out when it reads the message, and would commit the others.
UNKNOWN_FIELD = struct.pack("!HHIB7x", 1, 9, 0x80007F01, 1)
HELLO, ECHO = 0, 2
METERS = tuple(bridge_meters(NO_POLICY, BRIDGE).values())


class LiveRoom(Room):
    """The same room with a switch at the other end of a socket."""

    def __init__(self, path):
        super().__init__()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.datapath.send = self.socket.sendall
        self.datapath.send(struct.pack("!BBHI", 5, HELLO, 8, 0))
        self.heard = b""

    def next(self):
        """The next fact."""
        while not self.facts:
            while len(self.heard) < 8 or len(self.heard) < header(self.heard)[2]:
                data = self.socket.recv(65536)
                assert data, "the switch has hung up"
                self.heard += data
            _, kind, length, _ = header(self.heard)
            message, self.heard = self.heard[:length], self.heard[length:]
            if kind not in (HELLO, ECHO):
                self.hear(message)
        fact = self.facts.pop(0)
        return read(fact) if isinstance(fact, FlowsTold) else fact

    def try_bundle(self, **fields):
        self.facts.clear()
        fields = {"remove": (), "add_meters": METERS, **fields}
        self.switches.send(SendBundle(self.datapath.id, self.session, 5, **fields))
        return self.next()

    def flows(self):
        self.switches.read(ReadFlows(self.datapath.id, self.session))
        fact = self.next()
        assert isinstance(fact, FlowsRead)
        assert dict(fact.meters) == {meter.number: meter for meter in METERS}
        return {found.flow for found in fact.entries}


@pytest.fixture
def room():
    with PrivateOvs() as ovs:
        ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure protocols=OpenFlow14")
        ovs.wait_for((ovs.folder / "br0.mgmt").exists, "the bridge")
        yield LiveRoom(ovs.folder / "br0.mgmt")


def test_a_message_that_the_switch_cannot_read_spoils_the_whole_bundle(room):
    bad = wire.Installed(0, 1, 0, UNKNOWN_FIELD, None, 0, 0)
    fact = room.try_bundle(add=FLOWS, foreign=(bad,))
    assert isinstance(fact, BundleRefused) and "OFPBMC_BAD_FIELD" in fact.error
    assert room.flows() == set()
    assert isinstance(room.try_bundle(add=FLOWS, add_meters=()), BundleDone)
    assert room.flows() == set(FLOWS)


def test_a_table_that_is_full_spoils_the_whole_bundle_and_names_the_flow():
    with PrivateOvs() as ovs:
        limit = "-- --id=@t create Flow_Table flow_limit=1 overflow_policy=refuse -- set bridge br0 flow_tables:0=@t"
        ovs.vsctl(f"add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure protocols=OpenFlow14 {limit}")
        ovs.wait_for((ovs.folder / "br0.mgmt").exists, "the bridge")
        room = LiveRoom(ovs.folder / "br0.mgmt")
        fact = room.try_bundle(add=FLOWS)
        assert isinstance(fact, BundleRefused) and "OFPFMFC_TABLE_FULL" in fact.error
        assert fact.flow in FLOWS and fact.flow.table.number == 0
        assert room.flows() == set()


def test_a_bundle_of_removals_and_additions(room):
    assert isinstance(room.try_bundle(add=FLOWS), BundleDone)
    half = len(FLOWS) // 2
    change = {"add": (), "remove": FLOWS[:half], "add_meters": (), "forget": (99, 7), "unlearn": True}
    assert isinstance(room.try_bundle(**change), BundleDone)
    assert room.flows() == set(FLOWS[half:])
