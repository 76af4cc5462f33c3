"""What the controller is told: a reason is put into registers, and a copy of the packet goes along.

The registers say what a cookie says (kind and number), because the copy is made in a table of its own, where each vNIC
has its limit.
"""

from __future__ import annotations

from collections.abc import Iterator

from policy.flows import fields as f
from policy.flows.cookies import Drop, Kind, cookie
from policy.flows.flow import Action, Flow, Load, Match, Move, Punt, Resubmit, exact, flow, match
from policy.flows.meters import STRANGERS, MeterKind, meter_number
from policy.model import Side


def why(kind: Kind, number: int, side: Side = Side.EGRESS) -> tuple[Action, ...]:
    """Puts a reason into the registers."""
    ingress = (Load(f.WHY_SIDE, 1),) if side is Side.INGRESS else (Load(f.WHY_SIDE, 0),)
    return (Load(f.WHY, number), Load(f.WHY_KIND, kind), *ingress)


def tell(kind: Kind, number: int, side: Side = Side.EGRESS) -> tuple[Action, ...]:
    """Tells the controller, within the limit of the vNIC that is charged."""
    return (*why(kind, number, side), Resubmit("TELL"))


def tell_once(kind: Kind, number: int, side: Side) -> tuple[Action, ...]:
    """Tells the controller of a connection's first packet."""
    return (*why(kind, number, side), Resubmit("TELL_ONCE"))


def drop(table: str, priority: int, tests: Match, reason: Drop) -> Flow:
    """A refusal outside the policy: counted under its own name, and told."""
    return flow(table, priority, tests, tell(Kind.DROP, reason), cookie(Kind.DROP, reason))


def drop_of_stranger(table: str, priority: int, tests: Match, reason: Drop) -> Flow:
    """A refusal where no vNIC can be charged for the telling."""
    copy = Punt(meter_number(MeterKind.NOTICES, STRANGERS))
    return flow(
        table, priority, tests, (*why(Kind.DROP, reason), copy), cookie(Kind.DROP, reason)
    )


def fixed_telling_flows() -> Iterator[Flow]:
    """What `tell_once` tells, and who is charged for what `tell` tells: the receiver for what comes from outside."""
    pipe = cookie(Kind.PIPELINE)
    yield flow("TELL_ONCE", 100, match(exact(f.FRESH, 1)), (Resubmit("TELL"),), pipe)
    yield flow("TELL", 100, match(exact(f.SRC_VNIC, 0)), (Move(f.DST_VNIC, f.PAYER, 16), Resubmit("NOTICE")), pipe)
    yield flow("TELL", 0, (), (Resubmit("NOTICE"),), pipe)


def answer_actions(in_port: int, vnic: int, uplink: int, vlan: int) -> tuple[Action, ...]:
    """Where an answer of the controller's own goes: back to where the packet came from, which nobody judges.

    To a vNIC (by number) as its frames are delivered, with its tag if it has one; to an uplink (by number, 0: none)
    tagged as that port demands.
    """
    if not uplink:
        return (Load(f.DST_VNIC, vnic), Load(f.OUT_PORT, in_port), Resubmit("DELIVER"))
    return (Load(f.VLAN, vlan), Load(f.UPLINK_OUT, uplink), Resubmit("UPLINK_OUT"))


def notice_flow(vnic: int, mark: int) -> Flow:
    """The copies that one vNIC pays for: of what it sends, and of what ends on its way to it from outside."""
    copy = Punt(meter_number(MeterKind.NOTICES, vnic))
    return flow("NOTICE", 100, match(exact(f.PAYER, vnic)), (copy,), mark)
