"""Related packets: ICMP errors, and the connections that a helper expects.

Over an FTP or TFTP connection the two ends agree on others. Conntrack listens to a connection that was committed with a
helper. Of a packet of a connection that was agreed on there it says ``+rel``, and tells the tuple of the connection
over which it was agreed, its *parent*. So such a packet is judged as its parent, at the same sides, and passes only if
they allow that with a helper. Without a parent that conntrack knows nothing is expected, and a rule that goes cuts
parent and children alike. Of an ICMP error conntrack tells the connection in whose packet it has its cause.

Which side of that connection a vNIC is, the packet does not tell: with active FTP the server opens what the client
asked for. It is remembered in the parent's mark, which its children inherit (and keep, in OVS's own conntrack: their
mark cannot be set, so until it is answered every packet of such a connection counts as its first). Between two vNICs
of one bridge both sides judge, whoever opened it.
"""

from __future__ import annotations

from collections.abc import Iterator

from policy.flows import fields as f
from policy.flows.cookies import Builtin, Drop, Kind, cookie
from policy.flows.flow import (
    FAMILY,
    FRAGMENT,
    IPV4,
    IPV6,
    Action,
    Commit,
    Condition,
    Flow,
    Load,
    Move,
    Pop,
    Push,
    Resubmit,
    ct_state,
    exact,
    flow,
    masked,
    match,
)
from policy.flows.telling import drop
from policy.model import HELPERS, ICMP, TCP, UDP

PIPE = cookie(Kind.PIPELINE)
# ICMP types: RFC 792.
SOURCE_QUENCH, ICMP_REDIRECT = 4, 5
# Where the two ends listen for what they agreed on, no service has its home: whoever makes an FTP server or client say
# other things than it means gets no further than to the ports that programs use for a while.
SYSTEM_PORT = 0xFC00
RELATED, OPENS = ct_state("+rel+trk-inv"), ct_state("+new+rel+trk-inv")
HELPED = (exact(f.HELPED_EGRESS, 1), exact(f.HELPED_INGRESS, 1))
_HEADERS = {
    4: (f.IPV4_SRC, f.IPV4_DST, f.CT_NW_SRC, f.CT_NW_DST, 32),
    6: (f.IPV6_SRC, f.IPV6_DST, f.CT_IPV6_SRC, f.CT_IPV6_DST, 128),
}


def _opener(here: bool) -> Condition:
    return masked(f.CT_MARK, f.MARK_OPENER if here else 0, f.MARK_OPENER)


def _as_its_connection(family: int) -> tuple[Action, ...]:
    """Looks up the two ends that conntrack tells, as if the packet had these addresses: their identities, and whether
    the vNIC that sends is one of them."""
    source, destination, opener, opened, bits = _HEADERS[family]
    return (
        Push(source),
        Push(destination),
        Move(opener, source, bits),
        Move(opened, destination, bits),
        Load(f.SRC_ID, 0),
        Load(f.DST_ID, 0),
        Resubmit("SRC_ID"),
        Resubmit("DST_ID"),
        # Is the sender one of the two?
        Load(f.OWN, 0),
        Resubmit("OWNS"),
        Move(opened, source, bits),
        Resubmit("OWNS"),
        Pop(destination),
        Pop(source),
        Resubmit("JUDGE"),
    )


def related_flows() -> Iterator[Flow]:
    """Everything fixed that is about related packets, and the ways to remember a connection."""
    yield from _related()
    yield from _judge()
    yield from _allowed()
    yield from _commit()


def _related() -> Iterator[Flow]:
    """Both are judged as a packet of the connection that conntrack tells: an ICMP error, and what a helper expected."""
    errors = cookie(Kind.BUILTIN, Builtin.RELATED_ERRORS)
    # Nobody is turned or slowed down, not even by an end of its own connection. A fragment shows no type, and no host
    # sends an error so long that it would have to be one (RFC 1812, 4.3.2.3).
    icmp = (IPV4, exact(f.IP_PROTO, ICMP), RELATED)
    for kind, reason in ((ICMP_REDIRECT, Drop.ROUTER_ADVERTISEMENT), (SOURCE_QUENCH, Drop.NO_PASSAGE)):
        yield drop("RELATED", 140, match(icmp, exact(f.ICMP_TYPE, kind)), reason)
    yield drop("RELATED", 135, match(icmp, FRAGMENT), Drop.INVALID)
    for version, family in FAMILY.items():
        way = _as_its_connection(version)
        for protocol, port in ((TCP, f.TCP_DST), (UDP, f.UDP_DST)):
            expected = match(family, exact(f.IP_PROTO, protocol), RELATED)
            opens = match(family, exact(f.IP_PROTO, protocol), OPENS)
            yield drop("RELATED", 130, match(opens, masked(port, 0, SYSTEM_PORT)), Drop.UNHELPED)
            yield flow("RELATED", 120, opens, (Load(f.EXPECTED, 1), Load(f.FRESH, 1), *way), PIPE)
            yield flow("RELATED", 110, expected, (Load(f.EXPECTED, 1), *way), PIPE)
        yield flow("RELATED", 100, match(family, RELATED), way, errors)


def _judge() -> Iterator[Flow]:
    """The side of that connection on which a vNIC is: who opened it and sends is ahead, who opened and gets is not."""
    # Two vNICs share their network's zone with all others: who is none of the two has nothing to say about them.
    stranger = match(RELATED, exact(f.LEAVES, 1), exact(f.ARRIVES, 1), exact(f.OWN, 0))
    yield drop("JUDGE", 140, stranger, Drop.FORGED_ERROR)
    as_connection = (Move(f.SRC_ID, f.FROM_ID, 32), Move(f.DST_ID, f.TO_ID, 32), Resubmit("SIDE"))
    for leaves in (True, False):
        for opener in (True, False):
            tests = match(RELATED, exact(f.LEAVES, int(leaves)), _opener(opener))
            reply = Load(f.REPLY, int(leaves != opener))
            yield flow("JUDGE", 130, tests, (Load(f.TUPLE, 1), reply, *as_connection), PIPE)


def _allowed() -> Iterator[Flow]:
    expected = exact(f.EXPECTED, 1)
    for fresh, target in ((1, "OPENS"), (0, "OUT")):
        tests = match(ct_state("+trk-inv"), expected, HELPED, exact(f.FRESH, fresh))
        yield flow("ALLOWED", 120, tests, (Resubmit(target),), PIPE)
    yield drop("ALLOWED", 110, match(expected), Drop.UNHELPED)


def _commit() -> Iterator[Flow]:
    """A helper listens only where all sides here want it, and never to what was itself expected."""
    for family in (IPV4, IPV6):
        for opener in (True, False):
            mark = f.MARK_OURS | (f.MARK_OPENER if opener else 0)
            inherits = match(family, exact(f.EXPECTED, 1), _opener(opener))
            yield flow("COMMIT", 120, inherits, (Commit(mark), Resubmit("OUT")), PIPE)
            sends = exact(f.LEAVES, int(opener))
            for helper, protocol in HELPERS.items():
                helped = match(family, sends, exact(f.IP_PROTO, protocol), HELPED)
                yield flow("COMMIT", 110, helped, (Commit(mark, helper), Resubmit("OUT")), PIPE)
            yield flow("COMMIT", 100, match(family, sends), (Commit(mark), Resubmit("OUT")), PIPE)
