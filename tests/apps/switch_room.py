"""The OpenFlow side with a datapath that only notes bytes, for tests of what is sent and what is made of answers."""

import struct
from ipaddress import ip_network

from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser
from ryu.ofproto.ofproto_parser import header, msg

from policy.flows import action_wire, openflow
from policy.flows.bridge_book import bridge_flows
from policy.flows.compile import prepare
from ryu_apps.engine import NO_POLICY
from ryu_apps.facts import FlowsTold, SendBundle
from ryu_apps.switches.readings import read
from ryu_apps.switches.switches import Switches
from topology.ports import Bridge, UplinkPort, VnicPort
from topology.vnic import Vnic

DPID = 0x5A
ERROR = struct.Struct("!BBHIHH")


# A small bridge whose flows have all shapes.
VNIC = Vnic("web", mac="52:54:00:00:00:01", addresses=tuple(map(ip_network, ("10.0.0.1/32", "2001:db8::1/128"))))
PORTS = (VnicPort("tap", 7, 10, VNIC, 99, "u"), UplinkPort("bond", "uplink", (("e0", 1), ("e1", 2))))
BRIDGE = Bridge("r", "u", "h", "br0", DPID, "secure", False).with_ports(PORTS)
FLOWS = tuple(bridge_flows(prepare(NO_POLICY, [VNIC]), BRIDGE, {}).values())


class Datapath:
    """What the application needs of Ryu's."""

    ofproto = ofp
    ofproto_parser = parser

    def __init__(self, dpid=DPID, address="10.0.0.1"):
        self.id, self.address = dpid, address
        self.xid = ofp.MAX_XID - 3  # it runs over within each test
        self.sent = []
        self.closed = 0

    def set_xid(self, message):
        self.xid = (self.xid + 1) & ofp.MAX_XID
        message.set_xid(self.xid)

    def send(self, data):
        self.sent.append(data)

    def close(self):
        self.closed += 1

    def take(self):
        """What has been sent since, as (message type, xid, body)."""
        data, self.sent = b"".join(self.sent), []
        found = []
        while data:
            version, kind, length, xid = header(data)
            assert version == ofp.OFP_VERSION and 8 <= length <= len(data)
            found.append((kind, xid, data[:length]))
            data = data[length:]
        return found


class Room:
    """`Switches` with one datapath connected, and the facts that came."""

    def __init__(self):
        self.facts = []
        self.switches = Switches(self.facts.append, spawn=lambda task, *arguments: task(*arguments))
        self.datapath = Datapath()
        self.switches.up(self.datapath)
        self.session = self.take()[0].session

    def take(self):
        """What has come, read where that is still to be done."""
        facts, self.facts[:] = list(self.facts), []
        return [read(fact) if isinstance(fact, FlowsTold) else fact for fact in facts]

    def hear(self, data, datapath=None):
        """Bytes of the switch, through Ryu's parser, to where the application hands them."""
        version, kind, length, xid = header(data)
        message = msg(datapath or self.datapath, version, kind, length, xid, data)
        hears = {
            ofp.OFPT_ERROR: self.switches.heard_error,
            ofp.OFPT_MULTIPART_REPLY: self.switches.heard_flows,
            ofp.OFPT_BUNDLE_CONTROL: self.switches.heard_bundle,
            ofp.OFPT_ROLE_REPLY: self.switches.heard_role,
            ofp.OFPT_ROLE_STATUS: self.switches.heard_demotion,
        }
        hears[kind](message)

    def bundle(self, **more):
        fields = {"add": FLOWS, "remove": (), **more}
        self.switches.send(SendBundle(DPID, self.session, 5, **fields))
        return self.datapath.take()

    def control(self, kind, bundle=5):
        self.hear(struct.pack("!BBHIIHH", 5, ofp.OFPT_BUNDLE_CONTROL, 16, 1, bundle, kind, 3))

    def error(self, xid, kind=ofp.OFPET_BAD_MATCH, code=ofp.OFPBMC_BAD_PREREQ, data=b""):
        self.hear(ERROR.pack(5, ofp.OFPT_ERROR, 12 + len(data), xid, kind, code) + data)


def ryu_reads(flow_mod):
    """False for a metered copy to the controller, whose properties Ryu cannot read (OVS does: `test_wire_ovs`)."""
    return struct.pack("!IH", openflow.NICIRA, action_wire.CONTROLLER2) not in flow_mod


def control_of(data):
    return struct.unpack_from("!IHH", data, 8)
