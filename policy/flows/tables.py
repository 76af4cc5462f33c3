"""The pipeline's tables, each with its number: what `policy.flows.pipeline` declares, as flows are checked against it.

`policy.flows.flow.Flow` refuses a flow that its table did not declare: an undeclared match, an undeclared jump, a jump
backwards. `docs/pipeline.md` prints this list.
"""

from __future__ import annotations

from dataclasses import dataclass

from policy.flows import fields as f
from policy.flows.pipeline import DECLARED


@dataclass(frozen=True, slots=True)
class Table:
    """One table. ``jumps`` names the tables a flow here may resubmit to, ``tracks`` those a ct action may send to.

    ``miss`` says what happens to a packet that nothing matches, in words: a flow of lowest priority does it.
    ``dynamic``: the switch itself writes flows here (learn); they are not compared with what is wanted. From a
    ``subroutine`` the packet comes back, so nothing ends there.
    """

    number: int
    name: str
    purpose: str
    matches: frozenset[str]
    jumps: frozenset[str]
    tracks: frozenset[str]
    miss: str
    dynamic: bool = False
    subroutine: bool = False

    def __str__(self) -> str:
        return self.name

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What OVSDB's ``Flow_Table.prefixes`` should name for this table: the addresses that it matches by prefix.

        With these, OVS's cache of a decision covers as much of the address space as it can. Without, a guest that goes
        through IPv6 addresses makes one entry for each (for IPv4 it is OVS's default).
        """
        return tuple(name for field, name in _PREFIXES if field.name in self.matches)


_PREFIXES = ((f.IPV4_SRC, "ip_src"), (f.IPV4_DST, "ip_dst"), (f.IPV6_SRC, "ipv6_src"), (f.IPV6_DST, "ipv6_dst"))

TABLES: dict[str, Table] = {
    name: Table(
        number,
        name,
        purpose,
        frozenset(field.name for field in matches),
        frozenset(jumps),
        frozenset(tracks),
        miss,
        dynamic=name == "LEARNED",
        subroutine=purpose.startswith("Subroutine"),
    )
    for number, (name, purpose, matches, jumps, tracks, miss) in enumerate(DECLARED)
}
BY_NUMBER: dict[int, Table] = {table.number: table for table in TABLES.values()}
