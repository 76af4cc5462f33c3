"""`portcullis blast-radius`: what could an intruder on this VM reach?"""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from policy.analysis import blast
from policy.analysis.blast import THE_OUTSIDE, names
from policy.analysis.contexts import Contexts
from policy.analysis.lint.findings import rule_name
from policy.analysis.reach import OUTSIDE, Reach
from policy.analysis.regions import Region, region_of
from policy.analysis.words import summary, terms
from policy.commands.output import out, print_json, say
from policy.commands.policies import load_policy, policy_argument
from policy.plain import clean, counted
from policy.problems import similar
from policy.terms import TermError, parse_term

_SHOWN = 5  # VMs, and rules


@click.command("blast-radius", short_help="What could an intruder on a VM reach?")
@policy_argument
@click.argument("vm", required=False)
@click.option("--from-outside", is_flag=True, help="Begin outside instead of on a VM.")
@click.option("--hops", type=click.IntRange(1), metavar="N", help="Go no further than N hops.  [default: to the end]")
@click.option("--ignore", "ignored", multiple=True, metavar="TERM", help="A service by which nobody gets anywhere.")
@click.option("--icmp", is_flag=True, help="Count ICMP too: without this, who answers to ping only is not reached.")
@click.option(
    "--compare", type=click.Choice(["none"]), help="Also in a flat network without any policy: what is it worth?"
)
@click.option("--top", type=click.IntRange(1), default=10, show_default=True, metavar="N", help="Lines of the ranking.")
@click.option("--dot", "as_dot", is_flag=True, help="Print a graph for Graphviz.")
@click.option("--svg", "as_svg", is_flag=True, help="Print a picture (SVG).")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def blast_radius(
    policy: Path,
    vm: str | None,
    from_outside: bool,
    hops: int | None,
    ignored: tuple[str, ...],
    icmp: bool,
    compare: str | None,
    top: int,
    as_dot: bool,
    as_svg: bool,
    as_json: bool,
) -> None:
    """Say what an intruder on VM could reach under POLICY, hop by hop, and by which rules.

    An intruder opens whatever connections the policy allows, and holds every VM that he can open any connection to.
    Without a VM all are ranked: who could do most harm, and which single rule has most part in it.

    Exit status: 0 told; 2 wrong usage, or a policy that does not load.

    \b
    Examples:
      portcullis blast-radius /etc/portcullis web-1
      portcullis blast-radius /etc/portcullis web-1 --hops 2 --svg > web-1.svg
      portcullis blast-radius /etc/portcullis --compare none
    """
    if sum((as_dot, as_svg, as_json)) > 1:
        raise click.UsageError("--dot, --svg and --json exclude each other")
    if vm is not None and from_outside:
        raise click.UsageError("give either a VM or --from-outside")
    one = vm is not None or from_outside
    if (as_dot or as_svg) and not one:
        raise click.UsageError("--dot and --svg show one VM, or --from-outside")
    without = _ignored((*ignored, *(() if icmp else ("icmp",))))
    reach = Reach(Contexts(load_policy(policy)), without)
    if not one:
        _all(reach, hops, compare, top, as_json)
        return
    if vm is not None and vm not in reach.node_of:
        raise click.BadParameter(f"no VM is called {clean(vm)!r}{similar(vm, reach.node_of)}", param_hint="'VM'")
    radius = blast.radius(reach, vm, hops)
    if as_dot or as_svg:
        _draw(reach, radius, as_dot)
    elif as_json:
        print_json(_json(reach, radius, hops, compare))
    else:
        _show(reach, radius, hops, compare)


def _draw(reach: Reach, radius: blast.Radius, as_dot: bool) -> None:
    # Here, because networkx takes its time: no other command should wait for it.
    from policy.analysis.blast_graph import dot, graph, svg

    click.echo((dot if as_dot else svg)(graph(reach, radius)), nl=False)


def _ignored(texts: tuple[str, ...]) -> Region:
    try:
        return region_of(tuple(term for text in texts for term in parse_term(text)))
    except TermError as error:
        raise click.BadParameter(str(error), param_hint="'--ignore'") from None


def _show(reach: Reach, radius: blast.Radius, hops: int | None, compare: str | None) -> None:
    console = out()
    who = radius.start or THE_OUTSIDE
    within = f" within {counted(hops, 'hop', 'hops')}" if hops is not None else ""
    also = ", and the outside" if radius.outside else ""
    say(
        console, Text(who, style="bold"), f" could reach {radius.reached} of {_others(reach, radius)} VMs{within}{also}"
    )
    if compare is not None:
        _show_worth(blast.worth(reach, radius.node, hops), "VMs reached")
    if not radius.steps:
        return
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bold")
    for column in ("hop", "reached", "from", "by", "rules"):
        table.add_column(column)
    for step in radius.steps:
        source = who if step.hop == 1 else names(reach.nodes[step.source].vms, 1)
        rules = ", ".join(rule_name(reach.contexts.rules.deciders[rule]) for rule in step.rules[:_SHOWN])
        more = f" and {len(step.rules) - _SHOWN} more" if len(step.rules) > _SHOWN else ""
        table.add_row(str(step.hop), names(step.vms, _SHOWN), source, summary(step.services), rules + more)
    console.print(table)
    parts = blast.parts_of_one(reach, radius, hops)
    _show_parts(reach, parts, radius.reached, "VM", "VMs")


def _show_parts(reach: Reach, parts: list[blast.Part], now: int, one: str, many: str) -> None:
    """The rule with the greatest part, if any single one has a part."""
    if parts and parts[0].without < now:
        decider = reach.contexts.rules.deciders[parts[0].rule]
        place = f"{decider.rule.place.file}:{decider.rule.place.line}"
        say(
            out(),
            f"greatest part: rule {rule_name(decider)}, {place}: without it {counted(parts[0].without, one, many)}",
        )
    elif now:
        say(out(), f"no single rule would have to go for fewer {many}: there is more than one way")


def _all(reach: Reach, hops: int | None, compare: str | None, top: int, as_json: bool) -> None:
    ranked = blast.ranking(reach, hops)
    now = blast.total(reach, reach.steps, hops)
    parts = blast.parts_of_all(reach, hops)
    if as_json:
        print_json(
            {
                "hops": hops,
                "pairs": now,
                **({"compared": _worth_json(blast.worth(reach, None, hops))} if compare is not None else {}),
                "ranking": [_harm_json(reach, harm) for harm in ranked],
                "rules": [_part_json(reach, part) for part in parts],
            }
        )
        return
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bold")
    end = "in the end" if hops is None else f"within {counted(hops, 'hop', 'hops')}"
    for column in ("from", "at once", end, "outside"):
        table.add_column(column)
    for harm in ranked[:top]:
        told = [names(reach.nodes[harm.node].vms), str(harm.direct), str(harm.reached), "yes" if harm.outside else "-"]
        table.add_row(*told)
    out().print(table)
    if len(ranked) > top:
        say(out(), f"and {len(ranked) - top} more")
    say(out(), f"{now} pairs of VMs: the second could be reached from the first")
    if compare is not None:
        _show_worth(blast.worth(reach, None, hops), "pairs of VMs")
    _show_parts(reach, parts, now, "pair", "pairs")


def _show_worth(found: list[blast.Worth], what: str) -> None:
    """What the policy is worth, hop by hop."""
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bold")
    for column in ("within hops", what, "without any policy", "kept away"):
        table.add_column(column)
    for each in found:
        table.add_row(str(each.hops), str(each.reached), str(each.flat), f"{each.kept}%")
    out().print(table)


def _worth_json(found: list[blast.Worth]) -> list[dict[str, object]]:
    return [{"hops": each.hops, "reached": each.reached, "flat": each.flat} for each in found]


def _others(reach: Reach, radius: blast.Radius) -> int:
    return len(reach.node_of) - (radius.start is not None)


def _json(reach: Reach, radius: blast.Radius, hops: int | None, compare: str | None) -> dict[str, object]:
    return {
        "from": radius.start,
        "hops": hops,
        "reached": radius.reached,
        "of": _others(reach, radius),
        "outside": radius.outside,
        **({"compared": _worth_json(blast.worth(reach, radius.node, hops))} if compare is not None else {}),
        "steps": [
            {
                "hop": step.hop,
                "from": _step_from(reach, radius, step),
                "to": list(step.vms),
                "outside": step.node == OUTSIDE,
                "services": terms(step.services),
                "rules": [reach.contexts.rules.deciders[rule].told for rule in step.rules],
            }
            for step in radius.steps
        ],
        "rules": [_part_json(reach, part) for part in blast.parts_of_one(reach, radius, hops)],
    }


def _step_from(reach: Reach, radius: blast.Radius, step: blast.Step) -> list[str]:
    """The VMs from which it is reached; none: the outside."""
    if step.hop == 1:
        return [radius.start] if radius.start is not None else []
    return list(reach.nodes[step.source].vms)


def _harm_json(reach: Reach, harm: blast.Harm) -> dict[str, object]:
    return {
        "vms": list(reach.nodes[harm.node].vms),
        "direct": harm.direct,
        "reached": harm.reached,
        "outside": harm.outside,
    }


def _part_json(reach: Reach, part: blast.Part) -> dict[str, object]:
    return {**reach.contexts.rules.deciders[part.rule].told, "pairs": part.pairs, "without": part.without}
