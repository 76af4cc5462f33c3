"""One OpenFlow connection, as those have it who talk on it: numbers for messages, sending, telling.

Nothing here waits: Ryu's ``send`` does when a switch does not read, and whoever waited there would be the worker of all
switches, or Ryu's own event loop. So each message is sent by a green thread of its own. Of what a session says there
are at most a few on their way: it asks for nothing more until it has an answer or gives the connection up. What is said
as often as a guest or somebody at the status pages likes (answers to rejected packets, questions about counters) and
what is asked again anyway (meters) is left unsaid while `MAX_PENDING` messages wait for a switch that does not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ryu.ofproto import ofproto_v1_4 as ofp

from ryu_apps.facts import Heard

# Messages that may wait to be sent, before what can be left unsaid is.
MAX_PENDING = 50


class Line:
    """A connection of a bridge. ``session`` is the number by which facts and effects name it."""

    def __init__(
        self, datapath: Any, session: int, emit: Callable[[Heard], None], spawn: Callable[..., object]  # noqa: ANN401 (Ryu's Datapath is untyped)
    ) -> None:  # fmt: skip
        self.datapath = datapath
        self.dpid: int = datapath.id
        self.session = session
        self.emit = emit
        self._spawn = spawn
        self._pending = 0

    def xid(self) -> int:
        """The number of the next message."""
        self.datapath.xid = (self.datapath.xid + 1) & ofp.MAX_XID
        return int(self.datapath.xid)

    def packed(self, message: Any) -> bytes:  # noqa: ANN401
        """The bytes of one of Ryu's messages; it gets its number by that."""
        self.datapath.set_xid(message)
        message.serialize()
        return bytes(message.buf)

    def post(self, data: bytes) -> None:
        """Send bytes; does not wait."""
        self._pending += 1
        self._spawn(self._send, data)

    @property
    def clogged(self) -> bool:
        """True while so much waits to be sent that what can be left unsaid should be."""
        return self._pending >= MAX_PENDING

    def _send(self, data: bytes) -> None:
        try:
            self.datapath.send(data)
        finally:
            self._pending -= 1

    def close(self) -> None:
        """End the connection; does not wait."""
        self._spawn(self.datapath.close)


class Talk(Protocol):
    """One thing that is talked about on a connection. Errors of a switch name the message that they are about."""

    def expects(self, xid: int) -> bool:
        """True if a message of this number is this talk's, and not answered yet."""

    def refused(self, xid: int, error: str) -> None:
        """The switch refuses that message."""
