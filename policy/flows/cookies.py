"""The cookie of a flow says why it exists: whose it is (ours), what kind of reason, and which one of that kind.

    63..48 mark "pc"   47..40 layout version   39..32 kind   31..0 number

The number of a rule is a digest of its name, the same on every host and after every restart; `portcullis explain` turns
a cookie back into file and line.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MARK = 0x7063
# Which version of tables, registers and numbers wrote a flow; `tests/flows/test_layout.py` tells when it must rise.
LAYOUT = 5
PREFIX = (MARK << 48) | (LAYOUT << 40)
PREFIX_MASK = 0xFFFF_FF00_0000_0000
# Every layout that we ever wrote: a newer controller recognises and replaces an older one's flows.
MARK_MASK = 0xFFFF << 48


class Kind(enum.IntEnum):
    """Why a flow exists; the comment says what its number means."""

    PIPELINE = 1  # the fixed plumbing between tables; number: 0
    RULE = 2  # a rule of the policy; number: digest of its name
    DEFAULT = 3  # no rule decided; number: 0 egress, 1 ingress
    VNIC = 4  # a vNIC's own ports and addresses; number: its conntrack zone
    UPLINK = 5  # an uplink; number: port of its first member
    ISOLATED = 6  # a port that is shut; number: its port
    IDENTITY = 7  # who has an address; number: the identity
    NETWORK = 8  # a network's floods and copies; number: VLAN
    LEARNED = 9  # a MAC behind an uplink, written by the switch; number: 0
    BUILTIN = 10  # a built-in rule; number: Builtin
    DROP = 11  # a refusal that has a name; number: Drop
    AUDIT = 12  # a rule of a policy in audit, which only tells; number: digest of its name


# Why flows exist whose packets are somebody's question.
COUNTED = (Kind.RULE, Kind.AUDIT, Kind.DEFAULT, Kind.DROP)


class Builtin(enum.IntEnum):
    """The built-in rules, by the names of the language."""

    ARP = 1
    NEIGHBOUR_DISCOVERY = 2
    DHCP_CLIENT = 3
    ROUTER_DISCOVERY = 4
    MULTICAST_LISTENER = 5
    RELATED_ERRORS = 6
    DHCP_SERVER = 7
    ROUTER = 8

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


class Drop(enum.IntEnum):
    """Refusals outside the policy, each counted under its own name."""

    UNKNOWN_PORT_OR_MAC = 1
    SPOOFED_SOURCE = 2
    FOREIGN_LINK_LAYER_ADDRESS = 3
    FOREIGN_ND_TARGET = 4
    DHCP_SERVER = 5
    ROUTER_ADVERTISEMENT = 6
    INVALID = 7
    NOT_ADDRESSED_HERE = 8
    CONTROL_SOURCE = 9
    NO_PASSAGE = 10
    ROUTED_DISCOVERY = 11
    UNHELPED = 12
    FORGED_ERROR = 13

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Reason:
    """A cookie taken apart."""

    kind: Kind
    number: int

    def __str__(self) -> str:
        if self.kind is Kind.BUILTIN:
            return f"builtin:{Builtin(self.number).label}"
        if self.kind is Kind.DROP:
            return f"drop:{Drop(self.number).label}"
        if self.kind is Kind.DEFAULT:
            return "default:ingress" if self.number else "default:egress"
        if self.kind in (Kind.RULE, Kind.IDENTITY, Kind.AUDIT):
            return f"{self.kind.name.lower()}:{self.number:#010x}"
        return f"{self.kind.name.lower()}:{self.number}"


def cookie(kind: Kind, number: int = 0) -> int:
    """The cookie of a reason. Raises ``ValueError`` for a number over 32 bits."""
    if not 0 <= number <= 0xFFFFFFFF:
        raise ValueError(f"cookie number {number} does not fit 32 bits")
    return PREFIX | (kind << 32) | number


def kind_mask(kind: Kind) -> tuple[int, int]:
    """Cookie and mask that only the flows of this kind have."""
    return cookie(kind), PREFIX_MASK | 0xFF << 32


def is_ours(value: int) -> bool:
    """True for a cookie that this program wrote, whatever its layout."""
    return value & MARK_MASK == MARK << 48


def layout_of(value: int) -> int | None:
    """The layout of the program that wrote a cookie; None if that was not this program in any version."""
    return value >> 40 & 0xFF if is_ours(value) else None


def kind_of(value: int) -> int:
    """The number of a cookie's kind, in whatever layout it is written: `Kind.VNIC` is the same in all of them."""
    return value >> 32 & 0xFF


def reason(value: int) -> Reason | None:
    """Take a cookie apart; None if it is not one of ours, or of a layout or kind we do not know."""
    if value & PREFIX_MASK != PREFIX:
        return None
    try:
        kind = Kind(value >> 32 & 0xFF)
        number = value & 0xFFFFFFFF
        if kind is Kind.BUILTIN:
            Builtin(number)
        if kind is Kind.DROP:
            Drop(number)
        if kind is Kind.DEFAULT and number not in (0, 1):
            return None
    except ValueError:
        return None
    return Reason(kind, number)


def digest(text: str, salt: int = 0) -> int:
    """A stable number of 32 bits, never 0."""
    data = f"{salt}\0{text}".encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "big") or 1


def numbers(names: Iterable[str], reserved: Iterable[int] = ()) -> Mapping[str, int]:
    """A stable, distinct number for each name: its digest, salted until free, in the order of the sorted names.

    A number depends on another name only if both digests collide (once in 2**32 pairs).
    """
    taken = set(reserved)
    result: dict[str, int] = {}
    for name in sorted(set(names)):
        salt = 0
        while (number := digest(name, salt)) in taken:
            salt += 1
        taken.add(number)
        result[name] = number
    return result
