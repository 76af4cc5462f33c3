"""What the engine is told (facts) and what it wants done (effects). Frozen values; no Ryu, no eventlet.

A *session* is one OpenFlow connection of a bridge, by a number that no later connection gets: news of a connection that
is gone is recognised and dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy.errors import Problem
from policy.flows.flow import Flow
from policy.flows.meters import Meter
from policy.flows.packet_in import Copy
from policy.flows.slots import FIRST, numbers_of
from policy.flows.wire import Installed
from policy.model import Document
from ryu_apps.ovsdb_facts import OvsdbFact
from topology.addresses import Address


@dataclass(frozen=True, slots=True)
class PolicyLoaded:
    """The newest files make a good policy."""

    document: Document


@dataclass(frozen=True, slots=True)
class PolicyRefused:
    """The newest files make no policy; what is in force stays. ``missing``: there are no files at all."""

    problems: tuple[Problem, ...]
    missing: bool = False


@dataclass(frozen=True, slots=True)
class SwitchUp:
    """A bridge has connected and speaks OpenFlow 1.4."""

    dpid: int
    session: int


@dataclass(frozen=True, slots=True)
class SwitchDown:
    """A connection has ended."""

    dpid: int
    session: int


@dataclass(frozen=True, slots=True)
class FlowsTold:
    """What a bridge has told of its flows, as bytes, and of its meters. Not read yet: that takes long, and what is read
    is ten times as large. `ryu_apps.switches.readings.read` makes `FlowsRead` of it, when its turn has come."""

    dpid: int
    session: int
    parts: tuple[bytes, ...]
    meters: Mapping[int, Meter | None]
    most_meters: int


@dataclass(frozen=True, slots=True)
class FlowsRead:
    """All flows of the bridge, of ours and of others, and its meters by number (None: not one that we add).

    ``most_meters`` is the highest meter number that the switch takes; 0: it has no meters that we can use.
    """

    dpid: int
    session: int
    entries: tuple[Installed, ...]
    meters: Mapping[int, Meter | None]
    most_meters: int


@dataclass(frozen=True, slots=True)
class BundleDone:
    """The switch has committed a bundle: all of it is in force."""

    dpid: int
    session: int
    serial: int


@dataclass(frozen=True, slots=True)
class BundleRefused:
    """The switch has refused a bundle: nothing of it is in force. ``flow`` is the one it named, if it named one."""

    dpid: int
    session: int
    serial: int
    error: str
    flow: Flow | None = None


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """The flows, or the meters, could not be read back."""

    dpid: int
    session: int
    error: str


@dataclass(frozen=True, slots=True)
class MetersRead:
    """All meters of the bridge, as `FlowsRead` has them; ``serial`` is the question's."""

    dpid: int
    session: int
    serial: int
    meters: Mapping[int, Meter | None]


@dataclass(frozen=True, slots=True)
class FlowsTouched:
    """Somebody else has changed flows in our tables, or may have: what the bridge holds is to be looked at."""

    dpid: int
    session: int


@dataclass(frozen=True, slots=True)
class Unwatched:
    """The switch will not tell when somebody changes flows: they must be read back from time to time."""

    dpid: int
    session: int


@dataclass(frozen=True, slots=True)
class RoleTold:
    """We are the switch's master (``master``), or another controller has taken our place and we may not write."""

    dpid: int
    session: int
    master: bool


@dataclass(frozen=True, slots=True)
class RoleRefused:
    """The switch does not make us its master."""

    dpid: int
    session: int
    error: str


@dataclass(frozen=True, slots=True)
class Due:
    """A time asked for with `Later` has come."""

    dpid: int
    session: int
    what: str
    serial: int


@dataclass(frozen=True, slots=True)
class RetryWrites:
    """What OVSDB does not show by now may be written again. ``failed``: a write is known to have failed."""

    remote: str
    failed: bool


@dataclass(frozen=True, slots=True)
class GoOn:
    """Others have had their turn: what is left to do for bridges is gone on with."""


@dataclass(frozen=True, slots=True)
class GraceOver:
    """Databases that have not answered by now are not waited for any longer."""


@dataclass(frozen=True, slots=True)
class Punted:
    """A copy of a packet that a flow has decided about and that is to be told or answered."""

    dpid: int
    session: int
    copy: Copy


@dataclass(frozen=True, slots=True)
class FlowsCounted:
    """What the flows of a bridge that somebody counts have counted by now; the flows themselves are not told."""

    dpid: int
    session: int
    entries: tuple[Installed, ...]


@dataclass(frozen=True, slots=True)
class MetersCounted:
    """How many packets each meter of the bridge has dropped by now, by the meter's number."""

    dpid: int
    session: int
    dropped: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, in Unix seconds. Comes before the other facts of a batch."""

    now: float


@dataclass(frozen=True, slots=True)
class LeaseDue:
    """The time has come, asked for with `Later`, at which a learned address may be over. ``at`` tells which time."""

    at: float


@dataclass(frozen=True, slots=True)
class WriteDue:
    """What has been learned since the last write to this OVSDB server may be written now."""

    remote: str


@dataclass(frozen=True, slots=True)
class ClaimDue:
    """Nobody outside has said by now that the address is his, which the vNIC (by iface-id and MAC) has begun to use."""

    who: tuple[str, str]
    address: Address


@dataclass(frozen=True, slots=True)
class Unasked:
    """The outside could not be asked about an address that the vNIC has begun to use: its bridge does not read."""

    who: tuple[str, str]
    address: Address


# What is reported to the operator and changes nothing that is enforced: `ryu_apps.reports` hears it, not the engine.
Report = Punted | FlowsCounted | MetersCounted

Fact = (
    PolicyLoaded | PolicyRefused | SwitchUp | SwitchDown | FlowsRead | ReadFailed | BundleDone | BundleRefused
    | MetersRead | FlowsTouched | Unwatched | RoleTold | RoleRefused | Due | GraceOver | RetryWrites | OvsdbFact
    | Punted | Clock | LeaseDue | WriteDue | ClaimDue | Unasked | GoOn
)  # fmt: skip

# What comes into the worker's queue, from whoever has heard it.
Heard = Fact | FlowsTold | Report


@dataclass(frozen=True, slots=True)
class ReadFlows:
    """Ask a bridge for all its flows and meters."""

    dpid: int
    session: int


@dataclass(frozen=True, slots=True)
class ReadMeters:
    """Ask a bridge for its meters alone."""

    dpid: int
    session: int
    serial: int


@dataclass(frozen=True, slots=True)
class ClaimBridge:
    """Become a bridge's master (OpenFlow 1.4, 6.3.6): from then on it takes no change from its former master.

    A controller that has never asked for a role, `ovs-ofctl` for one, may still write: what it does is found as drift.
    """

    dpid: int
    session: int


@dataclass(frozen=True, slots=True)
class DriftFound:
    """An alarm: a bridge's flows and meters are not what we had put there. ``sample`` shows one of them; ``cookie`` is
    its."""

    dpid: int
    missing: int
    altered: int
    added: int
    sample: str
    cookie: int | None = None


@dataclass(frozen=True, slots=True)
class SendBundle:
    """Change a bridge, all or nothing. ``foreign`` are others' flows that stand in our tables, to be removed, and
    ``outdated`` flows of ours that another generation of the pipeline has left there.

    ``slot`` is where flows are added and removed; ``retire`` names slots to be emptied. ``forget`` names conntrack
    zones whose connections must be forgotten first: they get another vNIC. ``unlearn``: forget which MAC lives behind
    which uplink. Meters are added and changed before the flows, and removed after them: OpenFlow takes no meter into a
    bundle.
    """

    dpid: int
    session: int
    serial: int
    add: tuple[Flow, ...]
    remove: tuple[Flow, ...]
    foreign: tuple[Installed, ...] = ()
    forget: tuple[int, ...] = ()
    unlearn: bool = False
    add_meters: tuple[Meter, ...] = ()
    change_meters: tuple[Meter, ...] = ()
    remove_meters: tuple[int, ...] = ()
    slot: int = FIRST
    outdated: tuple[Installed, ...] = ()
    retire: tuple[int, ...] = ()

    def __len__(self) -> int:
        meters = len(self.add_meters) + len(self.change_meters) + len(self.remove_meters)
        gone = len(self.remove) + len(self.foreign) + len(self.outdated) + len(self.retire) * len(numbers_of(FIRST))
        return len(self.add) + gone + self.unlearn + meters


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End a connection that does not answer; the bridge will connect again."""

    dpid: int
    session: int
    why: str


@dataclass(frozen=True, slots=True)
class Later:
    """Tell a fact after so many seconds."""

    seconds: float
    fact: Due | RetryWrites | LeaseDue | WriteDue | ClaimDue | GoOn


@dataclass(frozen=True, slots=True)
class WriteZones:
    """Write conntrack zones into OVSDB, by `topology.ports.holder`."""

    remote: str
    zones: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class WriteLearned:
    """Write what vNICs have learned into OVSDB (`topology.learned`), by `topology.ports.holder`."""

    remote: str
    texts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LimitZones:
    """Have OVS limit conntrack's zones (`topology.zone_limits`): datapath, zone, and the most entries or None."""

    remote: str
    limits: tuple[tuple[str, int, int | None], ...]


@dataclass(frozen=True, slots=True)
class SecureBridge:
    """Have a bridge stay shut without a controller (fail_mode=secure), and without flows of OVS's own (in-band)."""

    remote: str
    uuid: str
    name: str


@dataclass(frozen=True, slots=True)
class NamePrefixes:
    """Have OVS remember decisions for ranges of addresses (OVSDB's ``Flow_Table.prefixes``), IPv6 included."""

    remote: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Send a frame out by the port that a packet came in by: its sender is told that it was rejected.

    ``vnic`` is the sender's number if that is a vNIC, ``uplink`` its number if the packet came from outside.
    """

    dpid: int
    session: int
    in_port: int
    vnic: int
    uplink: int
    vlan: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a frame out by all uplinks that carry a network: does somebody there have an address?

    ``unasked`` is the fact to tell where it cannot be sent.
    """

    dpid: int
    session: int
    vlan: int
    frame: bytes
    unasked: Unasked


Effect = (
    ReadFlows | ReadMeters | ClaimBridge | DriftFound | SendBundle | Disconnect | Later | WriteZones | WriteLearned
    | LimitZones | SecureBridge | NamePrefixes | Answer | Ask
)  # fmt: skip
