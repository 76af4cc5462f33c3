"""Changes of a bridge: meters, zones to be forgotten, and one bundle of flows, all of it or nothing.

Flow-mods are packed by `policy.flows.wire`, the rest by Ryu.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser

from policy.flows import meter_wire, openflow, slots, wire
from policy.flows.flow import Flow
from policy.flows.tables import TABLES
from policy.flows.text import flow_text
from ryu_apps.facts import BundleDone, BundleRefused, SendBundle
from ryu_apps.switches.line import Line
from topology.breath import breathing

LOG = logging.getLogger(__name__)

ATOMIC = ofp.OFPBF_ATOMIC | ofp.OFPBF_ORDERED
NXT_CT_FLUSH_ZONE = 29


class Bundles:
    """The bundle that is on its way on a connection; there is never more than one."""

    def __init__(self, line: Line) -> None:
        self._line = line
        # Its number on the wire (0: there is none), and the session's number for it.
        self._bundle = 0
        self._serial = 0
        self._committing = False
        self._refused = False
        # By xid, the flow that a message of the last bundle was about.
        self._sent: dict[int, Flow | None] = {}
        # Meters to be removed once the bundle is in force.
        self._remove_meters: tuple[int, ...] = ()

    def send(self, effect: SendBundle) -> None:
        """Send a bundle, up to its closing. It is committed when the switch has confirmed that, without complaint.

        To commit at once would be wrong: where OVS cannot read one message of a bundle, it says so, leaves it out, and
        commits the others.
        """
        number = effect.serial & 0x7FFFFFFF or 1
        # Nothing is on its way before all is packed, which may take long.
        self._bundle = 0
        self._committing = self._refused = False
        self._sent = {}
        self._remove_meters = effect.remove_meters
        # Written one after the other: tens of thousands of messages side by side would take as much again.
        packed = BytesIO()
        packed.writelines(self._flush_zone(zone) for zone in effect.forget)
        for command, meters in ((meter_wire.ADD, effect.add_meters), (meter_wire.MODIFY, effect.change_meters)):
            packed.writelines(meter_wire.meter_mod(meter, command, self._xid(None)) for meter in meters)
        packed.write(self._control(number, ofp.OFPBCT_OPEN_REQUEST))
        for message in breathing(self._changes(effect)):
            packed.write(wire.bundle_add(number, ATOMIC, message))
        packed.write(self._control(number, ofp.OFPBCT_CLOSE_REQUEST))
        self._bundle, self._serial = number, effect.serial
        self._line.post(packed.getvalue())

    def heard(self, message: Any) -> None:  # noqa: ANN401 (Ryu's)
        """An answer: it is closed, so commit it; or committed."""
        if not self._bundle or message.bundle_id != self._bundle:
            return
        if message.type == ofp.OFPBCT_CLOSE_REPLY and not self._committing:
            self._committing = True
            self._line.post(self._control(self._bundle, ofp.OFPBCT_COMMIT_REQUEST))
        elif message.type == ofp.OFPBCT_COMMIT_REPLY and self._committing:
            self._bundle, self._sent = 0, {}
            removals = [meter_wire.meter_delete(number, self._xid(None)) for number in self._remove_meters]
            if removals:
                self._line.post(b"".join(removals))
            self._remove_meters = ()
            self._line.emit(BundleDone(self._line.dpid, self._line.session, self._serial))

    def expects(self, xid: int) -> bool:
        """True for any message of the last bundle, and for the removal of meters after it."""
        return xid in self._sent

    def refused(self, xid: int, error: str) -> None:
        """With the first error a bundle is over; what follows (about its commit, say) is the same refusal."""
        if not self._bundle:
            if not self._refused:
                # The bundle is in force, but a meter that it has left without flows is still there: it will be found.
                LOG.error("bridge %016x: a meter was not removed: %s", self._line.dpid, error)
            return
        flow = self._sent[xid]
        where = f"{error}: {flow_text(flow)}" if flow is not None else error
        if not self._committing:
            self._line.post(self._control(self._bundle, ofp.OFPBCT_DISCARD_REQUEST))
        self._bundle, self._refused = 0, True
        self._line.emit(BundleRefused(self._line.dpid, self._line.session, self._serial, where, flow))

    def _changes(self, effect: SendBundle) -> Iterator[bytes]:
        for entry in effect.foreign + effect.outdated:
            yield wire.raw_delete(entry.table, entry.priority, entry.raw_match, self._xid(None))
        for flow in effect.remove:
            yield wire.flow_mod(flow, effect.slot, self._xid(flow), wire.DELETE_STRICT)
        for flow in effect.add:
            yield wire.flow_mod(flow, effect.slot, self._xid(flow))
        if effect.unlearn:
            yield wire.empty_table(slots.on_wire(TABLES["LEARNED"], effect.slot), self._xid(None))
        for slot in effect.retire:
            for number in slots.numbers_of(slot):
                yield wire.empty_table(number, self._xid(None))

    def _xid(self, flow: Flow | None) -> int:
        xid = self._line.xid()
        self._sent[xid] = flow
        return xid

    def _control(self, bundle: int, kind: int) -> bytes:
        return self._noted(parser.OFPBundleCtrlMsg(self._line.datapath, bundle, kind, ATOMIC, []))

    def _flush_zone(self, zone: int) -> bytes:
        # nicira-ext.h, struct nx_zone_id: six bytes of padding, then the zone.
        body = struct.pack("!6xH", zone)
        return self._noted(parser.OFPExperimenter(self._line.datapath, openflow.NICIRA, NXT_CT_FLUSH_ZONE, body))

    def _noted(self, message: Any) -> bytes:  # noqa: ANN401
        packed = self._line.packed(message)
        self._sent[message.xid] = None
        return packed
