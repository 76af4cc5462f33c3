"""What a bridge has counted: packets of the flows that somebody counts, and packets that its meters have dropped."""

from __future__ import annotations

import logging
from typing import Any

from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser

from policy.flows import meter_wire, wire
from policy.flows.cookies import Kind, kind_mask
from ryu_apps.facts import FlowsCounted, MetersCounted
from ryu_apps.switches.line import Line

LOG = logging.getLogger(__name__)

# Why flows exist whose packets are somebody's question.
COUNTED = (Kind.RULE, Kind.AUDIT, Kind.DEFAULT, Kind.DROP)


class Counting:
    """The question about counters. A new one takes the place of one that is not answered yet."""

    def __init__(self, line: Line) -> None:
        self._line = line
        # What was asked for and has not been told in full: by xid, the multipart type.
        self._asked: dict[int, int] = {}
        self._counted: list[wire.Installed] = []
        self._dropped: list[tuple[int, int]] = []

    def ask(self) -> None:
        """Ask."""
        datapath = self._line.datapath
        requests: dict[Any, int] = {}
        for kind in COUNTED:
            cookie, mask = kind_mask(kind)
            question = (0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY, cookie, mask, parser.OFPMatch())
            requests[parser.OFPFlowStatsRequest(datapath, *question)] = ofp.OFPMP_FLOW
        requests[parser.OFPMeterStatsRequest(datapath, 0, ofp.OFPM_ALL)] = ofp.OFPMP_METER
        message = b"".join(map(self._line.packed, requests))
        self._asked = {request.xid: kind for request, kind in requests.items()}
        self._counted, self._dropped = [], []
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
                    self._counted += wire.decode_flow_stats(body.data, counters_only=True)
                else:
                    self._dropped += meter_wire.decode_meter_drops(body.data)
        except Exception as error:  # whatever a switch may tell: it is that bridge's trouble, and no other's
            LOG.error("bridge %016x: its counters cannot be read: %s", self._line.dpid, error)
            self._asked, self._counted, self._dropped = {}, [], []
            return
        if not message.flags & ofp.OFPMPF_REPLY_MORE:
            self._told(message.xid)

    def refused(self, xid: int, error: str) -> None:
        """What a switch does not tell counts nothing."""
        self._told(xid)

    def _told(self, xid: int) -> None:
        del self._asked[xid]
        if not self._asked:
            counted, dropped = tuple(self._counted), tuple(self._dropped)
            self._counted, self._dropped = [], []
            self._line.emit(FlowsCounted(self._line.dpid, self._line.session, counted))
            self._line.emit(MetersCounted(self._line.dpid, self._line.session, dropped))
