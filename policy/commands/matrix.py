"""`portcullis matrix`: what goes through from everybody to everybody."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from policy.analysis.group_matrix import GroupMatrix
from policy.analysis.matrix import VmMatrix, service_of
from policy.commands.matrix_html import page
from policy.commands.matrix_views import Row, group_row, rows_csv, service_row, show_grid, show_rows, vm_row
from policy.commands.policies import load_policy, policy_argument
from policy.question import UsageError


@click.command(short_help="What goes through from everybody to everybody?")
@policy_argument
@click.option(
    "--service", metavar="TERM", help="Tell the verdict about one kind of connection only: tcp/443, icmp4/8 ..."
)
@click.option("--source-port", type=click.IntRange(0, 65535), metavar="N", help="Its source port.  [default: 50000]")
@click.option("--by", type=click.Choice(["vms", "groups"]), default="vms", show_default=True, help="Who is told.")
@click.option("--all", "everything", is_flag=True, help="List pairs between which nothing goes through, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--html", "as_html", is_flag=True, help="Print a web page that needs no other file.")
def matrix(
    policy: Path,
    service: str | None,
    source_port: int | None,
    by: str,
    everything: bool,
    as_json: bool,
    as_csv: bool,
    as_html: bool,
) -> None:
    """Say what goes through from every VM to every other under POLICY, or from group to group.

    Exact for all services. A VM stands for its first vNIC's first address of a family that both ends have, as in
    `explain`. A group stands for all its members (VMs with all their addresses, and addresses that nobody owns), and
    `outside` for all addresses that nobody owns; what depends on the members is told as mixed. The built-in rules are
    left out.

    Exit status: 0 told; 2 wrong usage, or a policy that does not load.

    \b
    Examples:
      portcullis matrix /etc/portcullis
      portcullis matrix /etc/portcullis --by groups --service tcp/22
      portcullis matrix /etc/portcullis --html > matrix.html
    """
    if sum((as_json, as_csv, as_html)) > 1:
        raise click.UsageError("--json, --csv and --html exclude each other")
    if source_port is not None and service is None:
        raise click.UsageError("--source-port needs a --service")
    document = load_policy(policy)
    made = VmMatrix(document) if by == "vms" else GroupMatrix(document)
    names = made.vms if isinstance(made, VmMatrix) else made.groups
    rows: Iterable[Row]
    if service is not None:
        try:
            services = service_of(document, service, source_port)
        except UsageError as error:
            raise click.UsageError(str(error)) from None
        rows = (service_row(cell, service) for cell in made.of_service(services))
    elif isinstance(made, VmMatrix):
        rows = map(vm_row, made.cells())
    else:
        rows = map(group_row, made.cells())
    if as_json:
        _print_json(rows)
    elif as_csv:
        click.echo(rows_csv(rows, by, service is not None), nl=False)
    elif as_html:
        click.echo(page(policy.name, document.revision, names, rows, service), nl=False)
    elif service is not None:
        show_grid(names, rows, service)
    else:
        show_rows(rows, everything)


def _print_json(rows: Iterable[Row]) -> None:
    """A list, a line for each pair: 1,000 VMs have a million."""
    between = "[\n  "
    for row in rows:
        click.echo(between + json.dumps(row.json), nl=False)
        between = ",\n  "
    click.echo("[]" if between.startswith("[") else "\n]")
