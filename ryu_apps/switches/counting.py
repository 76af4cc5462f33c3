"""What a bridge has counted: packets of the flows that somebody counts, and packets that its meters have dropped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser

from policy.flows import meter_wire, wire
from policy.flows.cookies import COUNTED, kind_mask
from ryu_apps.facts import FlowsCounted, MetersCounted
from ryu_apps.switches.line import Line

LOG = logging.getLogger(__name__)

# Seconds that a switch may take to tell what it was asked, before it is asked anew.
PATIENCE = 10.0
# Flows and meters that a switch may tell at once; none has so many.
MAX_TOLD = 500_000


class Counting:
    """The question about counters. Whoever asks while one is on its way gets that one's answer.

    Each question is followed by one `MetersCounted`, unless the connection ends; by `FlowsCounted` before it only if
    the switch has told all of the flows: what it did not tell would look as if it had begun to count anew.
    """

    def __init__(self, line: Line, clock: Callable[[], float] = time.monotonic) -> None:
        self._line = line
        self._clock = clock
        self._asked_at = 0.0
        self._flows_refused = False
        # What was asked for and has not been told in full: by xid, the multipart type.
        self._asked: dict[int, int] = {}
        self._counted: list[wire.Installed] = []
        self._dropped: list[tuple[int, int]] = []

    def ask(self) -> bool:
        """Ask, unless that has been done a moment ago; True if there will be an answer."""
        if self._asked and self._clock() - self._asked_at < PATIENCE:
            return True
        if self._line.clogged:
            return False
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
        self._asked_at, self._flows_refused = self._clock(), False
        self._line.post(message)
        return True

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
            self._give_up(f"its counters cannot be read: {error}")
            return
        if len(self._counted) + len(self._dropped) > MAX_TOLD:
            self._give_up("it tells no end of counters")
            return
        if self._clock() - self._asked_at > PATIENCE:
            self._give_up(f"it has not told all its counters within {PATIENCE:g} s")
            return
        if not message.flags & ofp.OFPMPF_REPLY_MORE:
            self._told(message.xid)

    def refused(self, xid: int, error: str) -> None:
        """Without an answer about its meters, a switch is taken for one that has none."""
        self._flows_refused |= self._asked[xid] == ofp.OFPMP_FLOW
        self._told(xid)

    def _give_up(self, why: str) -> None:
        LOG.error("bridge %016x: %s", self._line.dpid, why)
        self._asked, self._counted, self._dropped = {}, [], []
        self._line.emit(MetersCounted(self._line.dpid, self._line.session, ()))

    def _told(self, xid: int) -> None:
        del self._asked[xid]
        if not self._asked:
            counted, dropped = tuple(self._counted), tuple(self._dropped)
            self._counted, self._dropped = [], []
            if not self._flows_refused:
                self._line.emit(FlowsCounted(self._line.dpid, self._line.session, counted))
            self._line.emit(MetersCounted(self._line.dpid, self._line.session, dropped))
