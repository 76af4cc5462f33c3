"""`portcullis report`: one page for an auditor."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import click

from policy.analysis import blast
from policy.analysis.contexts import Contexts
from policy.analysis.lint.run import lint
from policy.analysis.reach import OUTSIDE, Reach
from policy.analysis.report.facts import gather, ignored
from policy.analysis.report.page import report_page
from policy.commands.output import print_json
from policy.commands.policies import load_with_files, policy_argument
from policy.model import Document

_HOPS = 3  # in pictures: more columns do not fit a page


@click.command(short_help="One page for an auditor: who may talk to whom, and all that is to be said about it.")
@policy_argument
@click.option("--json", "as_json", is_flag=True, help="Print the same as JSON.")
def report(policy: Path, as_json: bool) -> None:
    """Print one page of HTML about POLICY, for an auditor: scope, assertions, exceptions, open ends, who may talk to
    whom and by which rule, lint findings, blast radius, and which VMs are covered.

    The page needs nothing else, neither files nor a network, and is made for printing too. The same files make the same
    page. Exit status: 0 printed; 2 wrong usage, or a policy that does not load.

    \b
    Examples:
      portcullis report /etc/portcullis > report.html
      portcullis report /etc/portcullis --json
    """
    document, files = load_with_files(policy)
    values = gather(document, lint(document, files))
    if as_json:
        print_json(values)
    else:
        click.echo(report_page(values, _pictures(document)), nl=False)


def _pictures(document: Document) -> list[tuple[str, ET.Element]]:
    """From the outside, and from the VM that could do most harm."""
    # Here, because networkx takes its time: no other command should wait for it.
    from policy.analysis.blast_graph import graph, picture

    reach = Reach(Contexts(document), ignored())
    worst = next((harm.node for harm in blast.ranking(reach) if harm.node != OUTSIDE), None)
    starts = [None, *([] if worst is None else [reach.nodes[worst].vms[0]])]
    found = []
    for start in starts:
        title = f"From {start or 'the outside'}, up to {_HOPS} hops"
        found.append((title, picture(graph(reach, blast.radius(reach, start, _HOPS)))))
    return found
