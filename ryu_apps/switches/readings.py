"""What a bridge holds, read back: its flows and meters; or its meters alone.

What it tells of its flows is kept as bytes until the worker has time for it. Many bridges may tell theirs at once, as
after an outage of the network, and whoever reads them as they come has no time for echoes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser

from policy.flows import meter_wire, wire
from policy.flows.meters import HIGHEST_METER, Meter
from ryu_apps.facts import FlowsRead, FlowsTold, MetersRead, ReadFailed
from ryu_apps.switches.line import Line
from topology.breath import breathing

# Meters that a switch may tell: those that we use, and as many of others; and the octets that it tells of one of ours.
MAX_METERS, METER_OCTETS = 2 * HIGHEST_METER, 24
# Octets that a switch may take to tell its flows: a hundred for each of half a million.
MAX_OCTETS = 1 << 26


class Reading:
    """The question about all flows and meters. A new one takes the place of one that is not answered yet."""

    def __init__(self, line: Line) -> None:
        self._line = line
        # What was asked for and has not been told in full: by xid, the multipart type.
        self._asked: dict[int, int] = {}
        self._parts: list[bytes] = []
        self._octets = 0
        self._meters: dict[int, Meter | None] = {}
        self._most_meters = 0
        self._meters_refused = False

    def ask(self, before: bytes = b"") -> None:
        """Ask; in the same breath, ``before`` that, say something else."""
        datapath = self._line.datapath
        requests = {
            ofp.OFPMP_METER_FEATURES: parser.OFPMeterFeaturesStatsRequest(datapath, 0),
            ofp.OFPMP_METER_CONFIG: parser.OFPMeterConfigStatsRequest(datapath, 0, ofp.OFPM_ALL),
            ofp.OFPMP_FLOW: parser.OFPFlowStatsRequest(
                datapath, 0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY, 0, 0, parser.OFPMatch()
            ),
        }
        message = before + b"".join(map(self._line.packed, requests.values()))
        self._asked = {request.xid: kind for kind, request in requests.items()}
        self._forget()
        self._most_meters, self._meters_refused = 0, False
        self._line.post(message)

    def expects(self, xid: int) -> bool:
        """True for what has not been told in full."""
        return xid in self._asked

    def heard(self, message: Any) -> None:  # noqa: ANN401 (Ryu's)
        """A part of an answer."""
        kind = self._asked[message.xid]
        try:
            for body in message.body:
                if kind == ofp.OFPMP_FLOW:
                    self._parts.append(body.data)
                    self._octets += len(body.data)
                elif kind == ofp.OFPMP_METER_CONFIG:
                    self._meters.update(meter_wire.decode_meter_configs(body.data))
                else:
                    self._most_meters = meter_wire.decode_most_meters(body.data)
        except Exception as error:  # whatever a switch may tell: it is that bridge's trouble, and no other's
            self._failed(f"its flows cannot be read: {error}")
            return
        if self._octets > MAX_OCTETS or len(self._meters) > MAX_METERS:
            self._failed("it tells no end of flows or meters")
            return
        if not message.flags & ofp.OFPMPF_REPLY_MORE:
            self._told(message.xid)

    def refused(self, xid: int, error: str) -> None:
        """Without an answer about its meters, a switch is taken for one that has none."""
        if self._asked[xid] == ofp.OFPMP_FLOW:
            self._failed(error)
        else:
            self._meters_refused |= self._asked[xid] == ofp.OFPMP_METER_CONFIG
            self._told(xid)

    def _told(self, xid: int) -> None:
        """One thing that was asked for has been told in full; with the last of them the bridge is known."""
        del self._asked[xid]
        if not self._asked and self._meters_refused and self._most_meters:
            # It has meters: to take it for one that holds none would be wrong.
            self._failed("it does not tell its meters")
        elif not self._asked:
            told = tuple(self._parts), self._meters, self._most_meters
            self._forget()
            self._line.emit(FlowsTold(self._line.dpid, self._line.session, *told))

    def _failed(self, error: str) -> None:
        self._asked = {}
        self._forget()
        read_failed(self._line, error)

    def _forget(self) -> None:
        self._parts, self._octets, self._meters = [], 0, {}


def read(told: FlowsTold) -> FlowsRead | ReadFailed:
    """Read what a bridge has told of its flows."""
    try:
        decoded = (entry for part in told.parts for entry in wire.decode_flow_stats(part))
        entries = tuple(breathing(decoded))
    except Exception as error:  # as in `Reading.heard`
        return _failed(told.dpid, told.session, f"its flows cannot be read: {error}")
    return FlowsRead(told.dpid, told.session, entries, told.meters, told.most_meters)


class MetersReading:
    """The question about the meters alone: no switch tells when somebody changes one."""

    def __init__(self, line: Line) -> None:
        self._line = line
        # 0: nothing is asked. ``serial`` is the session's number for the question.
        self._xid = 0
        self._serial = 0
        self._parts: list[bytes] = []
        # The last answer, as it was told and as it was read: as long as it is the same, nothing is read, or compared.
        self._told: tuple[list[bytes], Mapping[int, Meter | None]] = [], {}

    def ask(self, serial: int) -> None:
        """Ask; not while much waits to be sent: there is a next time."""
        if self._line.clogged:
            return
        request = parser.OFPMeterConfigStatsRequest(self._line.datapath, 0, ofp.OFPM_ALL)
        message = self._line.packed(request)
        self._xid, self._serial, self._parts = request.xid, serial, []
        self._line.post(message)

    def expects(self, xid: int) -> bool:
        """True for the last question, until it is answered."""
        return xid == self._xid != 0

    def heard(self, message: Any) -> None:  # noqa: ANN401
        """A part of an answer."""
        self._parts += (body.data for body in message.body)
        if sum(map(len, self._parts)) > MAX_METERS * METER_OCTETS:
            self.refused(message.xid, "it tells no end of meters")
            return
        if message.flags & ofp.OFPMPF_REPLY_MORE:
            return
        parts, self._xid, self._parts = self._parts, 0, []
        if parts != self._told[0]:
            try:
                meters = dict(meter for part in parts for meter in meter_wire.decode_meter_configs(part))
            except Exception as error:  # as in `Reading.heard`
                self.refused(message.xid, f"its meters cannot be read: {error}")
                return
            self._told = parts, meters
        self._line.emit(MetersRead(self._line.dpid, self._line.session, self._serial, self._told[1]))

    def refused(self, xid: int, error: str) -> None:
        """A switch that has told its meters before, and does not now, is to be read anew."""
        self._xid, self._parts = 0, []
        read_failed(self._line, error)


def read_failed(line: Line, error: str) -> None:
    """What the bridge holds is not known."""
    line.emit(_failed(line.dpid, line.session, error))


def _failed(dpid: int, session: int, error: str) -> ReadFailed:
    return ReadFailed(dpid, session, error)
