"""The policy as values: what the loader makes and what the evaluator and the flow compiler read. No logic but lookups.

Words: a *term* is one kind of connection (protocol and ports), a *group* says who, a *rule* gives a verdict for terms
between groups, a *policy* is an ordered list of rules in a *tier*.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from policy.selectors import Selector
from topology.addresses import Prefix, may_flood
from topology.inventory import Inventory, Place

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132
PORT_PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
# Connections that conntrack reads for others that they announce, and the protocol they have to be.
HELPERS = {"ftp": TCP, "tftp": UDP}
# The port at which each is at home.
HELPER_PORTS: Mapping[str, int] = {"ftp": 21, "tftp": 69}
Range = tuple[int, int]
ALL_PORTS: tuple[Range, ...] = ((0, 65535),)


class Verdict(enum.Enum):
    """What a rule says. PASS leaves the rest of the tier out; the others are final."""

    ALLOW = "allow"
    DENY = "deny"
    REJECT = "reject"
    PASS = "pass"


class Tier(enum.IntEnum):
    """The tiers, in the order they are walked."""

    EMERGENCY = 0
    INFRASTRUCTURE = 1
    ENVIRONMENT = 2
    APPLICATION = 3
    BASELINE = 4

    @property
    def label(self) -> str:
        return self.name.lower()


class Side(enum.Enum):
    """EGRESS: the decision of the vNIC that opens a connection; INGRESS: of the vNIC it comes to."""

    EGRESS = "egress"
    INGRESS = "ingress"


@dataclass(frozen=True, slots=True)
class Term:
    """A set of connections by protocol and ports; every field narrows.

    ``protocol`` None is any protocol (then nothing else is set). ``family`` is 4 or 6 for ICMP, None for both families.
    ``ports`` and ``source_ports`` are sorted, disjoint, inclusive ranges and mean something for TCP, UDP and SCTP only.

    ``helper``, one of `HELPERS`, changes nothing about which connections these are: where a rule allows them, what they
    announce comes through with them. Then each range of ``ports`` is a single port. Of two terms of a rule that share a
    connection, the one with a helper counts.
    """

    protocol: int | None = None
    family: int | None = None
    ports: tuple[Range, ...] = ALL_PORTS
    source_ports: tuple[Range, ...] = ALL_PORTS
    icmp_type: int | None = None
    icmp_code: int | None = None
    helper: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Who: the union of a selector, CIDRs less exceptions, named VMs and other groups.

    ``name`` is None for an inline group. ``scope`` None: the CIDRs match in every scope. ``tenant``: whose namespace it
    is in (None: the provider's); a tenant's group selects only vNICs whose VM has that tenant, CIDRs excepted.
    ``shared``: tenants may name it as ``provider/NAME``.
    """

    name: str | None = None
    selector: Selector | None = None
    cidrs: tuple[Prefix, ...] = ()
    excepts: tuple[Prefix, ...] = ()
    vms: tuple[str, ...] = ()
    any_of: tuple[Group, ...] = ()
    scope: str | None = None
    tenant: str | None = None
    shared: bool = field(default=False, compare=False)
    place: Place | None = field(default=None, compare=False)
    # Whether packets for many may have destinations in its CIDRs or exceptions.
    floods: bool = field(default=False, init=False, repr=False, compare=False)
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Looks through its CIDRs, and hashes all that is compared, once: groups are looked up all the time, and lists
        of CIDRs are long.

        Whoever writes a policy must not be able to make groups with the same hash. Python hashes texts and bytes with
        a secret of the process, but addresses as mere numbers.
        """
        who = (self.name, self.tenant, self.scope, self.selector, self.vms, self.any_of)
        object.__setattr__(self, "floods", any(map(may_flood, (*self.cidrs, *self.excepts))))
        object.__setattr__(self, "_hash", hash((*who, _packed(self.cidrs), _packed(self.excepts))))

    def __hash__(self) -> int:
        return self._hash


def _packed(prefixes: tuple[Prefix, ...]) -> bytes:
    return b"".join(bytes((prefix.version, prefix.prefixlen)) + prefix.network_address.packed for prefix in prefixes)


# A side of a rule: None is "any", else the union of the groups.
Groups = tuple[Group, ...] | None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``name`` is the operator's or ``#N``; ``at`` None: every firewalled vNIC.

    ``egress`` and ``ingress`` say at which side the rule is enforced (the language's ``direction``).
    """

    name: str
    verdict: Verdict
    terms: tuple[Term, ...]
    sources: Groups
    destinations: Groups
    place: Place
    at: Groups = None
    egress: bool = True
    ingress: bool = True
    log: bool = False

    @property
    def helpers(self) -> frozenset[str]:
        """The helpers of its terms; they mean something if it allows."""
        return frozenset(term.helper for term in self.terms if term.helper is not None)


@dataclass(frozen=True, slots=True)
class Policy:
    """An ordered list of rules. ``tenant`` None is the provider; a tenant's rules are enforced only at its own vNICs.

    ``audit``: the rules never decide; what they would have decided is logged and counted.
    """

    name: str
    tier: Tier
    order: int
    rules: tuple[Rule, ...]
    place: Place
    tenant: str | None = None
    audit: bool = False


@dataclass(frozen=True, slots=True)
class Builtins:
    """The built-in rules that the provider may turn off."""

    dhcp_client: bool = True
    router_discovery: bool = True
    multicast_listener: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one vNIC may take of what all vNICs share; the defaults are those of a policy that says nothing.

    ``connections`` at one time (not every switch enforces it: `policy.limits.NEEDS`); ``new_connections`` a second;
    ``broadcasts``: broadcast and multicast packets a second that it sends; ``fragments`` a second that it sends, and
    from outside that come to it, which the switch keeps until they are whole; ``notices``: packets a second of which
    the controller gets a copy, to log or to reject.
    """

    connections: int = 100_000
    new_connections: int = 1000
    broadcasts: int = 500
    fragments: int = 50
    notices: int = 20


@dataclass(frozen=True, slots=True)
class LimitEntry:
    """One entry of `limits`: the numbers that it states, by their names in `Limits`.

    ``general``: written without `for`, so that it yields to what an entry with `for` states. ``members`` are those that
    `for` names; None is any.
    """

    name: str
    members: Groups
    general: bool
    stated: Mapping[str, int]
    place: Place


@dataclass(frozen=True, slots=True)
class Assertion:
    """What must hold for all VMs and addresses: ``always``: every such connection goes through, else: none does."""

    name: str
    always: bool
    terms: tuple[Term, ...]
    sources: Groups
    destinations: Groups
    place: Place
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A whole policy that loaded without an error. ``policies`` are in the order in which they are walked.

    ``groups`` and ``services`` are by name, a tenant's as ``TENANT/NAME`` (no name has a slash of its own).
    ``revision`` is a digest of the files' contents (hex, 12 characters): the same files have the same revision
    everywhere.
    """

    inventory: Inventory
    groups: Mapping[str, Group]
    services: Mapping[str, tuple[Term, ...]]
    policies: tuple[Policy, ...]
    builtins: Builtins
    revision: str
    assertions: tuple[Assertion, ...] = ()
    limits: tuple[LimitEntry, ...] = ()
