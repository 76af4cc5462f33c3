"""Whose changes a bridge takes: OpenFlow's master role (OpenFlow 1.4, 6.3.6).

It keeps out the former master alone, whom the switch makes a slave. Controllers in the role that all begin with (equal)
and `ovs-ofctl`, may write as ever.
"""

from __future__ import annotations

from typing import Any

from ryu.ofproto import ofproto_v1_4 as ofp
from ryu.ofproto import ofproto_v1_4_parser as parser

from ryu_apps.facts import RoleRefused, RoleTold
from ryu_apps.switches.line import Line


class Mastership:
    """The claim to be the bridge's master."""

    def __init__(self, line: Line) -> None:
        self._line = line
        # 0: nothing is asked.
        self._xid = 0

    def claim(self) -> None:
        """Ask for the number of the last election; `heard_role` then wins the next."""
        self._ask(ofp.OFPCR_ROLE_NOCHANGE, 0)

    def heard_role(self, message: Any) -> None:  # noqa: ANN401 (Ryu's)
        """An answer: the number of the last election, or that we are master."""
        if not self.expects(message.xid):
            return
        if message.role == ofp.OFPCR_ROLE_MASTER:
            self._xid = 0
            self._line.emit(RoleTold(self._line.dpid, self._line.session, True))
        else:
            # All ones: there has been no election yet; the first is number 0.
            self._ask(ofp.OFPCR_ROLE_MASTER, (message.generation_id + 1) & 0xFFFF_FFFF_FFFF_FFFF)

    def heard_demotion(self, message: Any) -> None:  # noqa: ANN401
        """The switch tells, unasked, that another controller has become its master."""
        if message.role == ofp.OFPCR_ROLE_SLAVE:
            self._line.emit(RoleTold(self._line.dpid, self._line.session, False))

    def expects(self, xid: int) -> bool:
        """True for the last question, until it is answered."""
        return xid == self._xid != 0

    def refused(self, xid: int, error: str) -> None:
        """Somebody else has won the election, or the switch knows no roles."""
        self._xid = 0
        self._line.emit(RoleRefused(self._line.dpid, self._line.session, f"it takes no master: {error}"))

    def _ask(self, role: int, election: int) -> None:
        request = parser.OFPRoleRequest(self._line.datapath, role, election)
        message = self._line.packed(request)
        self._xid = request.xid
        self._line.post(message)
