"""The OpenFlow side: effects become messages, answers become facts. Nothing is decided here.

Ryu reads and writes the connections; flow-mods are packed by `policy.flows.wire`, and the flows that a switch tells are
taken as bytes and unpacked there too, because Ryu's own decoder knows neither the conntrack tuple fields nor haste.

Nothing here waits: Ryu's ``send`` does when a switch does not read, and whoever waited there would be the worker of all
switches, or Ryu's own event loop. So each message is sent by a green thread of its own, of which a connection has at
most a few: the session asks for nothing more until it has an answer or gives the connection up.
"""

from __future__ import annotations

import itertools
import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ryu.lib import hub
from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser

from policy.flows import action_wire, meter_wire, openflow, wire
from policy.flows.cookies import Kind, kind_mask
from policy.flows.flow import Flow
from policy.flows.meters import Meter
from policy.flows.packet_in import decode_packet_in
from policy.flows.tables import TABLES
from policy.flows.telling import answer_actions
from policy.flows.text import flow_text
from policy.flows.wire import WireError
from ryu_apps import flow_monitor
from ryu_apps.facts import (
    Answer,
    BundleDone,
    BundleRefused,
    ClaimBridge,
    Fact,
    FlowsCounted,
    FlowsRead,
    FlowsTouched,
    MetersCounted,
    MetersRead,
    Punted,
    ReadFailed,
    ReadFlows,
    ReadMeters,
    RoleRefused,
    RoleTold,
    SendBundle,
    SwitchDown,
    SwitchUp,
    Unwatched,
)

LOG = logging.getLogger(__name__)

ATOMIC = ofp.OFPBF_ATOMIC | ofp.OFPBF_ORDERED
NXT_CT_FLUSH_ZONE = 29
# Why flows exist whose packets are somebody's question.
COUNTED = (Kind.RULE, Kind.AUDIT, Kind.DEFAULT, Kind.DROP)
# Errors about nothing that we know of which one connection may log.
MAX_COMPLAINTS = 10


class RawEntries:
    """Stands in for Ryu's class of one flow-statistics entry: takes all the bytes of a reply at once, unread."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.length = len(data)

    @classmethod
    def parser(cls, buf: bytes, offset: int) -> RawEntries:
        return cls(bytes(buf[offset:]))


for _reply in (
    parser.OFPFlowStatsReply,
    parser.OFPFlowMonitorReply,
    parser.OFPMeterStatsReply,
    parser.OFPMeterConfigStatsReply,
    parser.OFPMeterFeaturesStatsReply,
):
    _reply.cls_stats_body_cls = RawEntries


@dataclass(slots=True, eq=False)
class Look:
    """A question about the meters alone: its xid, the session's number for it, and what has been told so far."""

    xid: int
    serial: int
    meters: dict[int, Meter | None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Connection:
    """One OpenFlow connection: what was sent on it and is not answered yet."""

    datapath: Any
    number: int
    # The bundle on its way (0: none), and the session's number for it.
    bundle: int = 0
    serial: int = 0
    committing: bool = False
    # By xid, the flow that a message of the last bundle was about: errors name the xid of what they refuse.
    sent: dict[int, Flow | None] = field(default_factory=dict)
    # What was asked for and has not been told in full: by xid, the multipart type.
    asked: dict[int, int] = field(default_factory=dict)
    entries: list[wire.Installed] = field(default_factory=list)
    meters: dict[int, Meter | None] = field(default_factory=dict)
    most_meters: int = 0
    # The same for what was asked for about counters.
    counting: dict[int, int] = field(default_factory=dict)
    counted: list[wire.Installed] = field(default_factory=list)
    dropped: list[tuple[int, int]] = field(default_factory=list)
    # Meters to be removed once the bundle is in force.
    remove_meters: tuple[int, ...] = ()
    complaints: int = 0
    # What was asked for the flow monitor, and to become master.
    watch_xid: int | None = None
    role_xid: int | None = None
    looking: Look | None = None


class Switches:
    """All connections. ``emit`` takes facts; it must only put them into a queue."""

    def __init__(self, emit: Callable[[Fact], None], spawn: Callable[..., object] = hub.spawn) -> None:
        self._emit = emit
        self._spawn = spawn
        # A bridge that has two controllers configured which are both us, or whose old connection has not been found
        # dead yet, is connected several times. The newest connection is used; the others wait in its place.
        self._connections: dict[int, list[Connection]] = {}
        self._numbers = itertools.count(1)

    def up(self, datapath: Any) -> None:  # noqa: ANN401 (Ryu's Datapath is untyped)
        """A connection is ready."""
        connections = self._connections.setdefault(datapath.id, [])
        if connections:
            LOG.warning(
                "bridge %016x: connected from %s, though also from %s; using the newest connection",
                datapath.id,
                datapath.address,
                connections[-1].datapath.address,
            )
        connections.append(Connection(datapath, next(self._numbers)))
        self._emit(SwitchUp(datapath.id, connections[-1].number))

    def down(self, datapath: Any) -> None:  # noqa: ANN401
        """A connection has ended."""
        connections = self._connections.get(datapath.id, [])
        connection = next((each for each in connections if each.datapath is datapath), None)
        if connection is None:
            return
        used = connection is connections[-1]
        connections.remove(connection)
        if used:
            self._emit(SwitchDown(datapath.id, connection.number))
        if not connections:
            del self._connections[datapath.id]
        elif used:
            # What this one was told when it was in use may be long ago: it begins anew.
            connections[-1] = Connection(connections[-1].datapath, next(self._numbers))
            self._emit(SwitchUp(datapath.id, connections[-1].number))

    def _find(self, dpid: int, session: int) -> Connection | None:
        connections = self._connections.get(dpid)
        return connections[-1] if connections and connections[-1].number == session else None

    def _heard_on(self, message: Any) -> Connection | None:  # noqa: ANN401
        connections = self._connections.get(message.datapath.id)
        return connections[-1] if connections and connections[-1].datapath is message.datapath else None

    # --- sending

    def read(self, effect: ReadFlows) -> None:
        """Ask for all flows and meters; and first, once a connection, to be told of what others change from now on."""
        connection = self._find(effect.dpid, effect.session)
        if connection is None:
            return
        datapath = connection.datapath
        watch = b""
        if connection.watch_xid is None:
            connection.watch_xid = datapath.xid = (datapath.xid + 1) & ofp.MAX_XID
            watch = flow_monitor.request(datapath.xid)
        requests = {
            ofp.OFPMP_METER_FEATURES: parser.OFPMeterFeaturesStatsRequest(datapath, 0),
            ofp.OFPMP_METER_CONFIG: parser.OFPMeterConfigStatsRequest(datapath, 0, ofp.OFPM_ALL),
            ofp.OFPMP_FLOW: parser.OFPFlowStatsRequest(
                datapath, 0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY, 0, 0, parser.OFPMatch()
            ),
        }
        message = watch + b"".join(_packed(connection, request) for request in requests.values())
        connection.asked = {request.xid: kind for kind, request in requests.items()}
        connection.entries, connection.meters, connection.most_meters = [], {}, 0
        self._post(connection, message)

    def count(self) -> int:
        """Ask all bridges what their flows that somebody counts have counted, and what their meters have dropped.

        Tells how many were asked.
        """
        for connections in self._connections.values():
            connection = connections[-1]
            datapath = connection.datapath
            requests: dict[Any, int] = {}
            for kind in COUNTED:
                cookie, mask = kind_mask(kind)
                question = (0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY, cookie, mask, parser.OFPMatch())
                requests[parser.OFPFlowStatsRequest(datapath, *question)] = ofp.OFPMP_FLOW
            requests[parser.OFPMeterStatsRequest(datapath, 0, ofp.OFPM_ALL)] = ofp.OFPMP_METER
            message = b"".join(_packed(connection, request) for request in requests)
            connection.counting = {request.xid: kind for request, kind in requests.items()}
            connection.counted, connection.dropped = [], []
            self._post(connection, message)
        return len(self._connections)

    def read_meters(self, effect: ReadMeters) -> None:
        """Ask for the meters alone: no switch tells when somebody changes one."""
        connection = self._find(effect.dpid, effect.session)
        if connection is not None:
            request = parser.OFPMeterConfigStatsRequest(connection.datapath, 0, ofp.OFPM_ALL)
            message = _packed(connection, request)
            connection.looking = Look(request.xid, effect.serial)
            self._post(connection, message)

    def claim(self, effect: ClaimBridge) -> None:
        """Become the bridge's master: ask for the number of the last election, then win the next."""
        connection = self._find(effect.dpid, effect.session)
        if connection is not None:
            self._ask_role(connection, ofp.OFPCR_ROLE_NOCHANGE, 0)

    def _ask_role(self, connection: Connection, role: int, election: int) -> None:
        request = parser.OFPRoleRequest(connection.datapath, role, election)
        message = _packed(connection, request)
        connection.role_xid = request.xid
        self._post(connection, message)

    def send(self, effect: SendBundle) -> None:
        """Send a bundle, up to its closing. It is committed when the switch has confirmed that, without complaint.

        To commit at once would be wrong: where OVS cannot read one message of a bundle, it says so, leaves it out, and
        commits the others.
        """
        connection = self._find(effect.dpid, effect.session)
        if connection is None:
            return
        connection.serial = effect.serial
        connection.bundle = effect.serial & 0x7FFFFFFF or 1
        connection.committing = False
        connection.sent = {}
        connection.remove_meters = effect.remove_meters
        messages = [self._flush_zone(connection, zone) for zone in effect.forget]
        for command, meters in ((meter_wire.ADD, effect.add_meters), (meter_wire.MODIFY, effect.change_meters)):
            messages += [meter_wire.meter_mod(meter, command, self._xid(connection, None)) for meter in meters]
        messages.append(self._control(connection, ofp.OFPBCT_OPEN_REQUEST))
        for message in self._changes(connection, effect):
            messages.append(wire.bundle_add(connection.bundle, ATOMIC, message))
        messages.append(self._control(connection, ofp.OFPBCT_CLOSE_REQUEST))
        self._post(connection, b"".join(messages))

    def _changes(self, connection: Connection, effect: SendBundle) -> Iterator[bytes]:
        for entry in effect.foreign:
            xid = self._xid(connection, None)
            yield wire.raw_delete(entry.table, entry.priority, entry.raw_match, xid)
        for flow in effect.remove:
            yield wire.flow_mod(flow, self._xid(connection, flow), wire.DELETE_STRICT)
        for flow in effect.add:
            yield wire.flow_mod(flow, self._xid(connection, flow))
        if effect.unlearn:
            yield wire.empty_table(TABLES["LEARNED"].number, self._xid(connection, None))

    def _xid(self, connection: Connection, flow: Flow | None) -> int:
        datapath = connection.datapath
        datapath.xid = (datapath.xid + 1) & ofp.MAX_XID
        connection.sent[datapath.xid] = flow
        return int(datapath.xid)

    def _control(self, connection: Connection, kind: int) -> bytes:
        message = parser.OFPBundleCtrlMsg(connection.datapath, connection.bundle, kind, ATOMIC, [])
        packed = _packed(connection, message)
        connection.sent[message.xid] = None
        return packed

    def _flush_zone(self, connection: Connection, zone: int) -> bytes:
        # nicira-ext.h, struct nx_zone_id: six bytes of padding, then the zone.
        body = struct.pack("!6xH", zone)
        message = parser.OFPExperimenter(connection.datapath, openflow.NICIRA, NXT_CT_FLUSH_ZONE, body)
        packed = _packed(connection, message)
        connection.sent[message.xid] = None
        return packed

    def _post(self, connection: Connection, data: bytes) -> None:
        self._spawn(connection.datapath.send, data)

    def answer(self, effect: Answer) -> None:
        """Send a frame back to where a packet came from: to a vNIC as it is, to an uplink as that port demands."""
        connection = self._find(effect.dpid, effect.session)
        if connection is None:
            return
        datapath = connection.datapath
        actions = action_wire.encode_actions(answer_actions(effect.in_port, effect.uplink, effect.vlan))
        head = struct.pack("!IIH6x", openflow.NO_BUFFER, ofp.OFPP_CONTROLLER, len(actions))
        body = head + actions + effect.frame
        datapath.xid = (datapath.xid + 1) & ofp.MAX_XID
        header = struct.pack("!BBHI", openflow.VERSION, ofp.OFPT_PACKET_OUT, 8 + len(body), datapath.xid)
        self._post(connection, header + body)

    def disconnect(self, dpid: int, session: int) -> None:
        """Close a connection; `down` follows."""
        connection = self._find(dpid, session)
        if connection is not None:
            self._spawn(connection.datapath.close)

    # --- hearing

    def heard_bundle(self, message: Any) -> None:  # noqa: ANN401
        """An answer about a bundle: it is closed, so commit it; or committed."""
        connection = self._heard_on(message)
        if connection is None or not connection.bundle or message.bundle_id != connection.bundle:
            return
        if message.type == ofp.OFPBCT_CLOSE_REPLY and not connection.committing:
            connection.committing = True
            self._post(connection, self._control(connection, ofp.OFPBCT_COMMIT_REQUEST))
        elif message.type == ofp.OFPBCT_COMMIT_REPLY and connection.committing:
            connection.bundle, connection.sent = 0, {}
            removals = [meter_wire.meter_delete(n, self._xid(connection, None)) for n in connection.remove_meters]
            if removals:
                self._post(connection, b"".join(removals))
            connection.remove_meters = ()
            self._emit(BundleDone(message.datapath.id, connection.number, connection.serial))

    def heard_error(self, message: Any) -> None:  # noqa: ANN401
        """An error: about something of ours, else only worth a line in the log."""
        connection = self._heard_on(message)
        if connection is None:
            return
        text = _error_text(message)
        if message.xid in connection.sent:
            # With the first error a bundle is over; what follows (about its commit, say) is the same refusal.
            if connection.bundle:
                self._give_up(connection, text, connection.sent[message.xid])
        elif message.xid in connection.asked:
            if connection.asked[message.xid] == ofp.OFPMP_FLOW:
                self._unreadable(connection, text)
            else:
                # Without an answer about its meters, a switch is taken for one that has none.
                self._told(connection, message.xid)
        elif message.xid in connection.counting:
            self._counted(connection, message.xid)
        elif message.xid == connection.watch_xid:
            LOG.error("bridge %016x: does not tell what others change: %s", message.datapath.id, text)
            self._emit(Unwatched(message.datapath.id, connection.number))
        elif message.xid == connection.role_xid:
            connection.role_xid = None
            self._emit(RoleRefused(message.datapath.id, connection.number, f"it takes no master: {text}"))
        elif connection.complaints < MAX_COMPLAINTS:
            connection.complaints += 1
            LOG.warning("bridge %016x: %s, about nothing that is on its way", message.datapath.id, text)

    def _give_up(self, connection: Connection, text: str, flow: Flow | None) -> None:
        dpid = connection.datapath.id
        where = f"{text}: {flow_text(flow)}" if flow is not None else text
        LOG.error("bridge %016x: bundle %d refused: %s", dpid, connection.serial, where)
        if not connection.committing:
            self._post(connection, self._control(connection, ofp.OFPBCT_DISCARD_REQUEST))
        connection.bundle = 0
        self._emit(BundleRefused(dpid, connection.number, connection.serial, where, flow))

    def heard_role(self, message: Any) -> None:  # noqa: ANN401
        """An answer to `claim`: the number of the last election, or that we are master."""
        connection = self._heard_on(message)
        if connection is None or message.xid != connection.role_xid:
            return
        if message.role == ofp.OFPCR_ROLE_MASTER:
            connection.role_xid = None
            self._emit(RoleTold(message.datapath.id, connection.number, True))
        else:
            # All ones: there has been no election yet; the first is number 0.
            self._ask_role(connection, ofp.OFPCR_ROLE_MASTER, (message.generation_id + 1) & 0xFFFF_FFFF_FFFF_FFFF)

    def heard_demotion(self, message: Any) -> None:  # noqa: ANN401
        """The switch tells, unasked, that another controller has become its master."""
        connection = self._heard_on(message)
        if connection is not None and message.role == ofp.OFPCR_ROLE_SLAVE:
            self._emit(RoleTold(message.datapath.id, connection.number, False))

    def heard_updates(self, message: Any) -> None:  # noqa: ANN401
        """The switch tells of changes that others have made to its flows."""
        connection = self._heard_on(message)
        if connection is not None and any(flow_monitor.touches_ours(body.data) for body in message.body):
            self._emit(FlowsTouched(message.datapath.id, connection.number))

    def heard_flows(self, message: Any) -> None:  # noqa: ANN401
        """A part of an answer to `read`."""
        connection = self._heard_on(message)
        if connection is None:
            return
        if message.xid in connection.counting:
            self._heard_counters(connection, message)
            return
        if connection.looking is not None and message.xid == connection.looking.xid:
            self._heard_meters(connection, connection.looking, message)
            return
        kind = connection.asked.get(message.xid)
        if kind is None:
            return
        try:
            for body in message.body:
                if kind == ofp.OFPMP_FLOW:
                    connection.entries += wire.decode_flow_stats(body.data)
                elif kind == ofp.OFPMP_METER_CONFIG:
                    connection.meters.update(meter_wire.decode_meter_configs(body.data))
                else:
                    connection.most_meters = meter_wire.decode_most_meters(body.data)
        except Exception as error:  # whatever a switch may tell: it is that bridge's trouble, and no other's
            self._unreadable(connection, f"its flows cannot be read: {error}")
            return
        if not message.flags & ofp.OFPMPF_REPLY_MORE:
            self._told(connection, message.xid)

    def _heard_meters(self, connection: Connection, look: Look, message: Any) -> None:  # noqa: ANN401
        try:
            for body in message.body:
                look.meters.update(meter_wire.decode_meter_configs(body.data))
        except Exception as error:  # as in `heard_flows`
            self._unreadable(connection, f"its meters cannot be read: {error}")
            return
        if not message.flags & ofp.OFPMPF_REPLY_MORE:
            connection.looking = None
            self._emit(MetersRead(connection.datapath.id, connection.number, look.serial, look.meters))

    def _heard_counters(self, connection: Connection, message: Any) -> None:  # noqa: ANN401
        kind = connection.counting[message.xid]
        try:
            for body in message.body:
                if kind == ofp.OFPMP_FLOW:
                    connection.counted += wire.decode_flow_stats(body.data, counters_only=True)
                else:
                    connection.dropped += meter_wire.decode_meter_drops(body.data)
        except Exception as error:  # as in `heard_flows`
            LOG.error("bridge %016x: its counters cannot be read: %s", connection.datapath.id, error)
            connection.counting = {}
            return
        if not message.flags & ofp.OFPMPF_REPLY_MORE:
            self._counted(connection, message.xid)

    def _counted(self, connection: Connection, xid: int) -> None:
        del connection.counting[xid]
        if not connection.counting:
            dpid, number = connection.datapath.id, connection.number
            self._emit(FlowsCounted(dpid, number, tuple(connection.counted)))
            self._emit(MetersCounted(dpid, number, tuple(connection.dropped)))
            connection.counted, connection.dropped = [], []

    def _told(self, connection: Connection, xid: int) -> None:
        """One thing that was asked for has been told in full; with the last of them the bridge is known."""
        del connection.asked[xid]
        if not connection.asked:
            entries, meters = tuple(connection.entries), connection.meters
            connection.entries, connection.meters = [], {}
            dpid, number = connection.datapath.id, connection.number
            self._emit(FlowsRead(dpid, number, entries, meters, connection.most_meters))

    def heard_packet(self, message: Any) -> None:  # noqa: ANN401
        """A copy of a packet."""
        connection = self._heard_on(message)
        if connection is None:
            return
        try:
            copy = decode_packet_in(bytes(message.buf))
        except WireError as error:
            if connection.complaints < MAX_COMPLAINTS:
                connection.complaints += 1
                LOG.warning("bridge %016x: %s", message.datapath.id, error)
            return
        self._emit(
            Punted(
                message.datapath.id, connection.number, copy.cookie, copy.side, copy.reply, copy.src_vnic,
                copy.dst_vnic, copy.vlan, copy.in_port, copy.uplink, copy.frame,
            )
        )  # fmt: skip

    def _unreadable(self, connection: Connection, text: str) -> None:
        LOG.error("bridge %016x: %s", connection.datapath.id, text)
        connection.asked, connection.entries, connection.meters = {}, [], {}
        self._emit(ReadFailed(connection.datapath.id, connection.number, text))


def _packed(connection: Connection, message: Any) -> bytes:  # noqa: ANN401
    connection.datapath.set_xid(message)
    message.serialize()
    return bytes(message.buf)


# The names of error codes, by error type (OpenFlow 1.4, 7.5.4).
_CODE_PREFIXES = {
    ofp.OFPET_BAD_REQUEST: "OFPBRC_",
    ofp.OFPET_BAD_ACTION: "OFPBAC_",
    ofp.OFPET_BAD_INSTRUCTION: "OFPBIC_",
    ofp.OFPET_BAD_MATCH: "OFPBMC_",
    ofp.OFPET_FLOW_MOD_FAILED: "OFPFMFC_",
    ofp.OFPET_BUNDLE_FAILED: "OFPBFC_",
}


def _error_text(message: Any) -> str:  # noqa: ANN401
    if message.type == ofp.OFPET_EXPERIMENTER:
        return f"OpenFlow error of vendor {message.experimenter:#x}, type {message.exp_type}"
    prefix = _CODE_PREFIXES.get(message.type)
    names = [name for name, value in vars(ofp).items() if prefix and name.startswith(prefix) and value == message.code]
    return f"OpenFlow error {names[0]}" if names else f"OpenFlow error type {message.type}, code {message.code}"
