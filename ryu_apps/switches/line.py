"""One OpenFlow connection, as those have it who talk on it: numbers for messages, sending, telling.

Nothing here waits: Ryu's ``send`` does when a switch does not read, and whoever waited there would be the worker of all
switches, or Ryu's own event loop. So each message is sent by a green thread of its own, of which a connection has at
most a few: the session asks for nothing more until it has an answer or gives the connection up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ryu.ofproto import ofproto_v1_4 as ofp

from ryu_apps.facts import Fact, Report


class Line:
    """A connection of a bridge. ``session`` is the number by which facts and effects name it."""

    def __init__(
        self, datapath: Any, session: int, emit: Callable[[Fact | Report], None], spawn: Callable[..., object]  # noqa: ANN401 (Ryu's Datapath is untyped)
    ) -> None:  # fmt: skip
        self.datapath = datapath
        self.dpid: int = datapath.id
        self.session = session
        self.emit = emit
        self._spawn = spawn

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
        self._spawn(self.datapath.send, data)

    def close(self) -> None:
        """End the connection; does not wait."""
        self._spawn(self.datapath.close)


class Talk(Protocol):
    """One thing that is talked about on a connection. Errors of a switch name the message that they are about."""

    def expects(self, xid: int) -> bool:
        """True if a message of this number is this talk's, and not answered yet."""

    def refused(self, xid: int, error: str) -> None:
        """The switch refuses that message."""
