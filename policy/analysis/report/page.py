"""The report as one page of HTML, readable on a screen and in print. Long lists are cut; the JSON has them whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from policy.analysis.report.elements import Content, element, page, table

# The report's values, as `facts.gather` makes them.
_Values = Mapping[str, Any]

_NAMES = 4  # in a cell
_ROWS = 300  # in a table
_RANKED = 20
_STYLE = """
body{font:15px/1.45 sans-serif;color:#222;max-width:72em;margin:2em auto;padding:0 1em}
h1{font-size:1.7em}h2{font-size:1.25em;margin-top:2em;border-bottom:2px solid #4a6fa5}
table{border-collapse:collapse;width:100%;font-size:.9em}
th{text-align:left;background:#eef3fa}th,td{padding:.25em .6em;border-bottom:1px solid #ccc;vertical-align:top}
.numbers span{display:inline-block;margin:0 1.6em .6em 0}.numbers b{font-size:1.4em}
.error{color:#b03a2e;font-weight:bold}.warning{color:#946200;font-weight:bold}.info{color:#336}
.yes{color:#1e6b34;font-weight:bold}.no{color:#b03a2e;font-weight:bold}.note{color:#555}
figure{margin:1em 0;overflow-x:auto}svg{max-width:100%;height:auto}
@media print{body{font-size:11px;max-width:none;margin:0}h2{break-after:avoid}tr,figure{break-inside:avoid}}
"""


def report_page(values: _Values, pictures: Sequence[tuple[str, ET.Element]]) -> str:
    """The page; ``pictures`` are drawings of blast radii with what they show."""
    return page(
        f"Firewall policy, revision {values['revision']}",
        _STYLE,
        element("h1", "Firewall policy"),
        element("p", "Revision ", element("code", values["revision"]), kind="note"),
        *_scope(values["scope"], values["coverage"]),
        *_assertions(values["assertions"]),
        *_noted("Exceptions", "Put outside of the usual on purpose.", values["exceptions"]),
        *_noted("Open ends", "Not yet enforced, or open to everybody or the outside.", values["open_ends"]),
        *_talks(values["talks"]),
        *_lint(values["lint"]),
        *_blast(values["blast_radius"], pictures),
        *_vms(values["vms"]),
    )


def _scope(scope: _Values, coverage: _Values) -> list[Content]:
    numbers = ("vms", "vnics", "groups", "services", "policies", "rules", "assertions")
    words = {"vms": "VMs", "vnics": "vNICs"}
    found: list[Content] = [
        element("h2", "Scope and coverage"),
        element(
            "p",
            *(element("span", element("b", str(scope[key])), f" {words.get(key, key)}") for key in numbers),
            kind="numbers",
        ),
    ]
    if scope["networks"]:
        rows = [(net["name"], str(net["vlan"]), net["scope"]) for net in scope["networks"]]
        found.append(_table(("network", "VLAN", "address scope"), rows))
    covered = [
        ("firewalled", str(coverage["firewalled"])),
        ("trusted, not firewalled", _list(coverage["trusted"])),
        ("without a listed address (learned when they come up)", _list(coverage["without_address"])),
        ("mentioned by no rule", _list(coverage["unmentioned"])),
        ("tenants with policies", _list(scope["tenants"])),
    ]
    return [*found, _table(("coverage", "VMs"), covered)]


def _assertions(assertions: Sequence[_Values]) -> list[Content]:
    rows = [
        (
            _named(each["tenant"], each["name"]),
            f"{each['claim']} {' '.join(each['services'])}",
            _result(each),
            _place(each),
        )
        for each in assertions
    ]
    return [
        element("h2", "Assertions"),
        element("p", "What must hold for all VMs and all addresses; proved, not sampled.", kind="note"),
        _table(("assertion", "claim", "result", "place"), rows),
    ]


def _result(each: _Values) -> ET.Element:
    if not each["holds"]:
        return element("span", "fails", kind="no")
    return element("span", "holds, about nobody", kind="warning") if each["vacuous"] else element(
        "span", "holds", kind="yes"
    )  # fmt: skip


def _noted(title: str, about: str, notes: Sequence[_Values]) -> list[Content]:
    return [
        element("h2", title),
        element("p", about, kind="note"),
        _table(("what", "place"), [(each["text"], _place(each)) for each in notes]),
    ]


def _talks(talks: Sequence[_Values]) -> list[Content]:
    rows = [
        (
            _rule(each),
            " ".join(each["services"]),
            _who(each["from"]),
            _who(each["to"]),
            str(each["pairs"]),
            _place(each),
        )
        for each in talks
    ]
    return [
        element("h2", "Who may talk to whom, and by which rule"),
        element(
            "p",
            "What really goes through by each rule, at both ends and after all rules before it; everything else is "
            "refused. Pairs are of a VM (or the outside) with another, in one direction.",
            kind="note",
        ),
        _table(("rule", "services", "from", "to", "pairs", "place"), rows),
    ]


def _lint(findings: Sequence[_Values]) -> list[Content]:
    rows = [
        (element("span", each["severity"], kind=each["severity"]), each["code"], each["message"], _place(each))
        for each in findings
    ]
    return [element("h2", "Lint findings"), _table(("severity", "code", "finding", "place"), rows)]


def _blast(found: _Values, pictures: Sequence[tuple[str, ET.Element]]) -> list[Content]:
    worth = [
        (
            str(each["hops"]),
            str(each["reached"]),
            str(each["flat"]),
            f"{100 * (each['flat'] - each['reached']) // each['flat'] if each['flat'] else 0}%",
        )
        for each in found["compared"]
    ]
    ranking = [
        (_list(each["vms"]) if each["vms"] else "the outside", str(each["direct"]), str(each["reached"]),
         "yes" if each["outside"] else "no")
        for each in found["ranking"][:_RANKED]
    ]  # fmt: skip
    rules = [(_rule(each), str(each["pairs"]), str(each["without"]), _place(each)) for each in found["rules"][:_RANKED]]
    return [
        element("h2", "Blast radius"),
        element(
            "p",
            "What an intruder could reach who holds every VM that he can open any connection to, pings left out. First "
            "all pairs of VMs together, with the policy and in a flat network without one:",
            kind="note",
        ),
        _table(("within hops", "pairs", "without any policy", "kept away"), worth),
        element("p", "Who could do most harm:", kind="note"),
        _table(("from", "at once", "in the end", "gets outside"), ranking),
        element("p", "Which rules have most part in it:", kind="note"),
        _table(("rule", "pairs that talk by it alone", "pairs reached without it", "place"), rules),
        *(element("figure", element("figcaption", title), drawn) for title, drawn in pictures),
    ]


def _vms(groups: Sequence[_Values]) -> list[Content]:
    ordered = sorted(groups, key=lambda each: -len(each["vms"]))
    rows = [
        (
            _list(each["vms"]),
            str(len(each["vms"])),
            _list(each["tenants"]) if each["tenants"] else "",
            ", ".join(f"{label}={value}" for label, value in each["labels"].items()),
        )
        for each in ordered
    ]
    return [
        element("h2", "VMs that are alike to every rule"),
        _table(("VMs", "how many", "tenant", "labels in common"), rows),
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Content]]) -> ET.Element:
    if not rows:
        return element("p", "none")
    shown = table(heads, rows[:_ROWS])
    if len(rows) <= _ROWS:
        return shown
    return element("div", shown, element("p", f"and {len(rows) - _ROWS} more: the JSON has all of them", kind="note"))


def _list(names: Sequence[str]) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


def _who(who: _Values) -> str:
    ends = ([_list(who["vms"])] if who["vms"] else []) + (["the outside"] if who["outside"] else [])
    return "; ".join(ends)


def _named(tenant: str | None, name: str) -> str:
    return name if tenant is None else f"{tenant}:{name}"


def _rule(each: _Values) -> str:
    return f"{_named(each['tenant'], each['policy'])}/{each['rule']} ({each['tier']})"


def _place(each: _Values) -> str:
    return "" if each["file"] is None else f"{each['file']}:{each['line']}"
