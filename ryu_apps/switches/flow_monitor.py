"""OpenFlow's flow monitor (OpenFlow 1.4, 7.3.5.19): the switch tells at once when somebody else changes its flows.

Only whether something of ours was touched is read from what it tells: what is there then is read back as at the start,
because events that cross with a bundle on its way are hard to put in order, and easy to get wrong.
"""

from __future__ import annotations

import logging
import struct
from typing import Any

from ryu.ofproto import ofproto_v1_4 as ofp

from policy.flows.cookies import Kind, reason
from policy.flows.slots import place
from policy.flows.tables import Table
from ryu_apps.facts import FlowsTouched, Unwatched
from ryu_apps.switches.line import Line

LOG = logging.getLogger(__name__)

# struct ofp_monitor_request: id, out_port, out_group, flags, table, command; then an empty match (type OXM, length 4).
_REQUEST = struct.Struct("!IIIHBBHH4x")
_MULTIPART = struct.Struct("!BBHIHH4x")
_MONITOR = 1
_FLAGS = ofp.OFPFMF_ADD | ofp.OFPFMF_REMOVED | ofp.OFPFMF_MODIFY

# struct ofp_flow_update_full: length, event, table, (reason, timeouts, priority, padding), cookie.
_FULL = struct.Struct("!HHB11xQ")
_HEAD = struct.Struct("!HH")
_FULL_SIZE = _FULL.size

# Our own changes come as short notes of their own; PAUSED is followed by RESUMED.
_NO_NEWS = {ofp.OFPFME_INITIAL, ofp.OFPFME_ABBREV, ofp.OFPFME_PAUSED}
_CHANGES = {ofp.OFPFME_ADDED, ofp.OFPFME_REMOVED, ofp.OFPFME_MODIFIED}


class Watch:
    """The monitor of a connection: asked for once, and there as long as the connection."""

    def __init__(self, line: Line, *, asked: bool = False) -> None:
        self._line = line
        self.asked = asked
        self._xid = 0

    def request(self) -> bytes:
        """What asks for it, to be sent; nothing the second time."""
        if self.asked:
            return b""
        self.asked = True
        self._xid = self._line.xid()
        return request(self._xid)

    def heard(self, message: Any) -> None:  # noqa: ANN401 (Ryu's)
        """The switch tells of changes that others have made to its flows."""
        if any(touches_ours(body.data) for body in message.body):
            self._line.emit(FlowsTouched(self._line.dpid, self._line.session))

    def expects(self, xid: int) -> bool:
        """True for the request."""
        return xid == self._xid != 0

    def refused(self, xid: int, error: str) -> None:
        """It will not tell."""
        self._xid = 0
        LOG.error(
            "bridge %016x: does not tell what others change (%s); its flows are read back from time to time instead",
            *(self._line.dpid, error),
        )
        self._line.emit(Unwatched(self._line.dpid, self._line.session))


def request(xid: int) -> bytes:
    """Asks for news of all changes of all tables, but for those that this connection makes itself."""
    body = _REQUEST.pack(
        _MONITOR, ofp.OFPP_ANY, ofp.OFPG_ANY, _FLAGS, ofp.OFPTT_ALL, ofp.OFPFMC_ADD, ofp.OFPMT_OXM, 4
    )
    size = _MULTIPART.size + len(body)
    head = (ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REQUEST, size, xid, ofp.OFPMP_FLOW_MONITOR, 0)
    return _MULTIPART.pack(*head) + body


def touches_ours(body: bytes) -> bool:
    """True if the updates of a reply tell of a change in our tables, or cannot be read, or some may be lost.

    What the switch learns by itself, and forgets again, is no change of anybody's.
    """
    at = 0
    while at < len(body):
        if len(body) - at < _HEAD.size:
            return True
        length, event = _HEAD.unpack_from(body, at)
        if length < 8 or at + length > len(body):
            return True
        if event in _CHANGES and length >= _FULL_SIZE:
            _, _, table, cookie = _FULL.unpack_from(body, at)
            found = place(table)
            if found is not None and not _learned(found.table, cookie):
                return True
        elif event not in _NO_NEWS:
            return True
        at += length
    return False


def _learned(table: Table, cookie: int) -> bool:
    why = reason(cookie)
    return table.dynamic and why is not None and why.kind is Kind.LEARNED
