"""`portcullis explain`: what becomes of one connection, and which rule says so; or, why is this flow in the switch?"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import click
from rich.text import Text

from policy.commands.answers import show_decision
from policy.commands.client import Controller, url_option
from policy.commands.flow_lines import FlowLine, lines_of, read_line
from policy.commands.live import LiveVnic, live_vnics
from policy.commands.output import NO, NoAnswer, out, print_json, say, stop
from policy.commands.policies import load_policy, policy_argument
from policy.commands.reasons import Reasons, Why
from policy.commands.why_text import show_why, why_json
from policy.evaluate import evaluate
from policy.model import Document, Verdict
from policy.question import UsageError, decision_json, parse_question

# Seconds that a controller may take to tell its vNICs: without it the answer is only less detailed.
_PATIENCE = 2.0
MAX_COOKIE = 2**64 - 1


@click.command(short_help="What becomes of a connection, and why; or, why is this flow here?")
@policy_argument
@click.option(
    "--from", "source", metavar="WHO", help="Who opens the connection: VM, VM/IFACE-ID, VM@ADDRESS or ADDRESS."
)
@click.option("--to", "destination", metavar="WHO", help="Whom it is opened to.")
@click.option("--service", metavar="TERM", help="One kind of connection: tcp/443, udp/53, icmp/echo, proto/47 ...")
@click.option("--source-port", type=click.IntRange(0, 65535), metavar="N", help="Its source port.  [default: 50000]")
@click.option("--network", metavar="NAME", help="The network in which addresses are looked up, where no VM tells it.")
@click.option("--cookie", metavar="COOKIE", help="Explain a flow by its cookie instead.")
@click.option("--flow", metavar="LINE", help="Explain a line of 'ovs-ofctl dump-flows' instead; - reads many.")
@click.option("--why", is_flag=True, help="Also tell the rules that were passed over, and why.")
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def explain(
    policy: Path,
    source: str | None,
    destination: str | None,
    service: str | None,
    source_port: int | None,
    network: str | None,
    cookie: str | None,
    flow: str | None,
    why: bool,
    url: Controller,
    as_json: bool,
) -> None:
    """Say what becomes of one connection under POLICY, and which rule decides: needs no switch and no controller.

    Both ends decide: the vNIC that it leaves (egress) and the vNIC it arrives at (ingress). Exit status: 0 allowed;
    1 denied or rejected; 2 wrong usage, or a policy that does not load.

    \b
      portcullis explain shop.yaml --from web-1 --to db-1 --service tcp/3306
      portcullis explain /etc/portcullis --from 192.0.2.7 --to web-1 --service tcp/443
      portcullis explain /etc/portcullis --from web-1@2001:db8::11 --to app-1 --service icmp/echo --json
      portcullis explain /etc/portcullis --from web-1 --to db-1 --service tcp/22 --why

    Or say why a flow is in a switch: the rule with file and line, the vNIC (if a controller answers at --url), the
    groups of an address. Exit status: 0 explained; 1 some flow is not Portcullis's, or not of this policy.

    \b
      portcullis explain /etc/portcullis --cookie 0x7063030200c0ffee
      ovs-ofctl dump-flows br0 | portcullis explain /etc/portcullis --flow -
      ovs-appctl ofproto/trace br0 in_port=1,tcp | portcullis explain /etc/portcullis --flow -
    """
    asked = {"--from": source, "--to": destination, "--service": service}
    of_connection = {**asked, "--source-port": source_port, "--network": network}
    ways = [cookie is not None, flow is not None, any(value is not None for value in of_connection.values())]
    if why and not ways[2]:
        raise click.UsageError("--why goes with --from, --to and --service")
    if sum(ways) != 1:
        raise click.UsageError("give either --from, --to and --service, or --cookie, or --flow")
    if cookie is not None:
        number = _cookie(cookie)
        _explain_cookie(_reasons(load_policy(policy), url), number, as_json)
    elif flow is not None:
        _explain_flows(policy, url, flow, as_json)
    elif source is None or destination is None or service is None:
        missing = " and ".join(name for name, value in asked.items() if value is None)
        raise click.UsageError(f"{missing} missing: a connection has two ends and a service")
    else:
        _explain_connection(load_policy(policy), source, destination, service, source_port, network, why, as_json)


def _explain_connection(
    document: Document,
    source: str,
    destination: str,
    service: str,
    source_port: int | None,
    network: str | None,
    why: bool,
    as_json: bool,
) -> None:
    try:
        connection = parse_question(document, source, destination, service, source_port=source_port, network=network)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    decision = evaluate(document, connection)
    if as_json:
        more = {"passed_over": why_json(document, connection, decision)} if why else {}
        print_json({**decision_json(decision), **more})
    else:
        show_decision(connection, decision)
        if why:
            show_why(document, connection, decision)
    if decision.verdict is not Verdict.ALLOW:
        stop(NO)


def _cookie(text: str) -> int:
    """A cookie as people write it: 0x and hexadecimal digits, or decimal."""
    try:
        number = int(text, 0) if len(text) <= 20 else -1
    except ValueError:
        number = -1
    if not 0 <= number <= MAX_COOKIE:
        raise click.BadParameter(
            "a cookie is a number of 64 bits, like 0x7063030200c0ffee", param_hint="'--cookie'"
        ) from None
    return number


def _reasons(document: Document, url: Controller) -> Reasons:
    return Reasons(document, partial(_live, document, url))


def _live(document: Document, url: Controller) -> tuple[LiveVnic, ...] | None:
    """The vNICs of the controller; None if none answers. Its absence is no error: most of what is asked is in files."""
    try:
        return live_vnics(url.get("/portcullis/status", seconds=_PATIENCE), document)
    except NoAnswer:
        return None


def _explain_cookie(reasons: Reasons, cookie: int, as_json: bool) -> None:
    why = reasons.why(cookie)
    if as_json:
        print_json(why.json())
    else:
        say(out(), f"{cookie:#x}: ", _told(why))
    if not why.explained:
        stop(NO)


def _explain_flows(policy: Path, url: Controller, flow: str, as_json: bool) -> None:
    if flow == "-":
        lines: Iterable[FlowLine] = map(read_line, lines_of(sys.stdin.buffer))
    else:
        if not flow.strip():
            raise click.BadParameter(
                "there is nothing in it: what should have printed a flow has printed none; "
                "give many to --flow - on standard input",
                param_hint="'--flow'",
            )
        line = read_line(flow)
        if line.cookie is None:
            raise click.BadParameter("this is no flow: neither a cookie nor actions in it", param_hint="'--flow'")
        lines = [line]
    pairs = _explained(lines, _reasons(load_policy(policy), url))
    explained = _print_json_of(pairs, many=flow == "-") if as_json else _print_text_of(pairs)
    if not explained:
        raise NoAnswer("no flow came on standard input: has what should have printed them failed?")
    if not all(explained):
        stop(NO)


def _explained(lines: Iterable[FlowLine], reasons: Reasons) -> Iterator[tuple[FlowLine, Why | None]]:
    for line in lines:
        yield line, reasons.why(line.cookie) if line.cookie is not None else None


def _print_text_of(pairs: Iterable[tuple[FlowLine, Why | None]]) -> set[bool]:
    """Each line as it comes, and below it what it is there for. Whether flows are explained: none if there are none."""
    console = out()
    explained: set[bool] = set()
    for line, why in pairs:
        say(console, line.text)
        if why is not None:
            explained.add(why.explained)
            say(console, Text("    # ", style="dim"), _told(why))
    return explained


def _print_json_of(pairs: Iterable[tuple[FlowLine, Why | None]], *, many: bool) -> set[bool]:
    """A list, or the one object; lines that are no flows are left out. Whether flows are explained, as above."""
    found = [(line, why) for line, why in pairs if why is not None]
    values = [{**why.json(), "table": line.table, "flow": line.text.strip()} for line, why in found]
    print_json(values if many else values[0])
    return {why.explained for _, why in found}


def _told(why: Why) -> Text:
    return Text(why.text, style="cyan" if why.explained else "bold red")
