"""The generated parts of `docs/pipeline.md`: reference tables from the declarations, and walks of its sample.

    python -m policy.flows.reference            says whether the page is stale (exit status 1)
    python -m policy.flows.reference --write    refreshes it

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; what is around it is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from policy.flows import action_wire, cookies, placement
from policy.flows import fields as f
from policy.flows.cookies import Builtin, Drop, Kind, Reason, reason
from policy.flows.flow import Flow
from policy.flows.identity import label
from policy.flows.pipeline import audit_table, tier_table
from policy.flows.rules import NumberedRule
from policy.flows.sample import POLICY, Sample, sample, stories
from policy.flows.tables import TABLES
from policy.flows.text import flow_text
from policy.flows.walk import Walk
from policy.model import Side, Tier

PAGE = Path(__file__).parents[2] / "docs" / "pipeline.md"
PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
AUDITS = {audit_table(side) for side in Side}
TIERS = {tier_table(side, tier) for side in Side for tier in Tier}


class UnknownPart(Exception):
    """The page asks for a part that nobody generates."""


def refreshed(page: str) -> str:
    """The page with every generated part as it should be. Raises ``UnknownPart``."""
    parts = generators(sample())

    def one(found: re.Match[str]) -> str:
        if found[2] not in parts:
            raise UnknownPart(f"nobody generates {found[2]!r}; there are {', '.join(sorted(parts))}")
        return "\n".join((found[1], *parts[found[2]](), "", found[3]))

    return PART.sub(one, page)


def generators(made: Sample) -> dict[str, Callable[[], Iterable[str]]]:
    """What generates each part, by its name."""
    result: dict[str, Callable[[], Iterable[str]]] = {
        "diagram": diagram,
        "tables": tables,
        "registers": registers,
        "fields": header_fields,
        "cookies": cookie_kinds,
        "builtins": lambda: _table(("number", "built-in rule"), ((entry.value, entry.label) for entry in Builtin)),
        "drops": drops,
        "priorities": partial(priorities, made.flows.values()),
        "policy": lambda: ("```yaml", *POLICY.splitlines(), "```"),
        "identities": partial(identities, made),
    }
    for name, walk in stories(made.flows).items():
        result[f"walk-{name}"] = partial(trail, walk, made.compiled.rules)
    return result


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(' --- ' for _ in head)}|"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def tables() -> Iterator[str]:
    """All tables: what each is for, what it matches, where it leads, and what happens to a packet it does not know."""
    rows = []
    for table in TABLES.values():
        leads = [*sorted(table.jumps, key=_number), *(f"conntrack, then {name}" for name in sorted(table.tracks))]
        tests = ", ".join(sorted(table.matches)) or "nothing"
        rows.append((table.number, table.name, table.purpose, tests, ", ".join(leads) or "none", table.miss))
    return _table(("no.", "table", "purpose", "may match", "leads to", "no match"), rows)


def _number(name: str) -> int:
    return TABLES[name].number


def diagram() -> Iterator[str]:
    """The tables and their jumps; the tiers of a side are one box, subroutines are left out."""
    subroutines = {name for name in TABLES if not TABLES[name].jumps and name.endswith("_ID")} | {"LEARNED"}
    edges: dict[tuple[str, str, str], None] = {}
    for table in TABLES.values():
        for target in sorted(table.jumps, key=_number):
            edges.setdefault((_box(table.name), "-->", _box(target)))
        for target in sorted(table.tracks):
            edges.setdefault((_box(table.name), "-. conntrack .->", _box(target)))
    yield "```mermaid"
    yield "flowchart TD"
    for source, arrow, target in edges:
        if source != target and target not in subroutines:
            yield f"    {source} {arrow} {target}"
    yield "```"


def _box(name: str) -> str:
    return f"{name.partition('_')[0]}_TIERS" if name in TIERS else name


def registers() -> Iterator[str]:
    """All parts of registers."""
    rows = (
        (part.container, f"{part.offset}..{part.offset + part.bits - 1}", part.name, part.meaning)
        for part in f.register_parts()
    )
    return _table(("register", "bits", "name", "meaning"), rows)


def header_fields() -> Iterator[str]:
    """The other fields that flows match, with the names that ovs-ofctl gives to their numbers."""
    rows = (
        (field.name, f"{field.oxm_class:#06x}:{field.oxm_field}", field.bits, field.meaning)
        for field in f.FIELDS.values()
        if not field.is_register
    )
    return _table(("field", "class:number", "bits", "meaning"), rows)


def cookie_kinds() -> Iterator[str]:
    """Kinds of cookies, and how a cookie of each looks."""
    rows = ((kind.value, kind.name.lower(), f"`{cookies.cookie(kind):#x}`", KINDS[kind]) for kind in Kind)
    return _table(("kind", "name", "cookie", "its number is"), rows)


KINDS = {
    Kind.PIPELINE: "0: the fixed plumbing between tables",
    Kind.RULE: "a rule of the policy: a digest of its full name",
    Kind.DEFAULT: "0: no rule has decided the egress; 1: the ingress",
    Kind.VNIC: "the vNIC's conntrack zone",
    Kind.UPLINK: "the port of the uplink's first member",
    Kind.ISOLATED: "the port that is shut",
    Kind.IDENTITY: "the identity",
    Kind.NETWORK: "the VLAN",
    Kind.LEARNED: "0: a MAC behind an uplink, written by the switch",
    Kind.BUILTIN: "a built-in rule, below",
    Kind.DROP: "a named drop, below",
    Kind.AUDIT: "a rule of a policy in audit, which only tells: a digest of its full name",
}


def drops() -> Iterator[str]:
    """The named drops and the tables in which they happen, wherever no rule of a policy is concerned."""
    found: dict[int, set[str]] = defaultdict(set)
    for item in sample().flows.values():
        why = reason(item.cookie)
        if why is not None and why.kind is Kind.DROP:
            found[why.number].add(item.table.name)
    rows = ((entry.value, entry.label, ", ".join(sorted(found[entry], key=_number))) for entry in Drop)
    return _table(("number", "drop", "in table"), rows)


def priorities(flows: Iterable[Flow]) -> Iterator[str]:
    """Which priorities each table uses, and for which kinds of flows."""
    used: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in flows:
        why = reason(item.cookie)
        used[item.table.name][item.priority].add(why.kind.name.lower() if why else "foreign")
    rows: list[tuple[object, ...]] = []
    for name in TABLES:
        if name in TIERS:
            bands = f"{placement.HIGHEST} to {placement.LOWEST}: rules, one priority each, with gaps; 0: next tier"
        elif name in AUDITS:
            bands = f"{placement.HIGHEST} to {placement.LOWEST}: rules in audit, one priority each, with gaps"
        elif TABLES[name].dynamic:
            bands = f"{action_wire.LEARN_PRIORITY}: learned"
        elif name in ("SRC_ID", "DST_ID"):
            bands = "100 + length of the prefix: identity"
        else:
            bands = "; ".join(
                f"{priority}: {', '.join(sorted(kinds))}"
                for priority, kinds in sorted(used[name].items(), reverse=True)
            )
        rows.append((name, bands or "no flows in the sample"))
    return _table(("table", "priorities"), rows)


def identities(made: Sample) -> Iterator[str]:
    """The sample's identities and the groups that they stand for."""
    found = made.compiled.identities.members
    rows = [
        (f"`{number:#x}`", ", ".join(sorted(map(label, members))) or "none: only `any` matches")
        for number, members in sorted(found.items())
    ]
    return _table(("identity", "groups"), rows)


def trail(walk: Walk, rules: Iterable[NumberedRule]) -> Iterator[str]:
    """The flows that a packet of the sample hit, less the tiers without a word in it; and what became of it."""
    names = {Reason(Kind.RULE, entry.number): entry.name for entry in rules}
    yield "```text"
    for item in walk.trail:
        if item.table.name in TIERS and not item.priority:
            continue
        why = reason(item.cookie)
        yield flow_text(item) + (f"    # {names[why]}" if why in names else "")
    for sent in walk.sent:
        yield f"=> leaves by port {sent.port}"
    if walk.drop is not None:
        yield f"=> dropped: {walk.drop}"
    yield "```"


def main(arguments: list[str]) -> int:
    """Exit status 0: the page is (now) as it should be; 1: it is stale."""
    before = PAGE.read_text()
    after = refreshed(before)
    if arguments == ["--write"]:
        PAGE.write_text(after)
        return 0
    if before != after:
        print(f"{PAGE.name} is stale: python -m policy.flows.reference --write", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
