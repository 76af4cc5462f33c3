"""`portcullis verify`: does a switch hold exactly what the policy says? Asks the switch, and no controller."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import click

from policy.commands.endpoints import remote_problem
from policy.commands.live import LiveVnic
from policy.commands.output import NO, NoAnswer, out, print_json, stop
from policy.commands.policies import load_policy, policy_argument
from policy.commands.reasons import Reasons
from policy.commands.verify_text import Verified, VerifiedBridge, show, verified_json
from policy.flows.openflow import WireError
from policy.model import Document
from policy.verify.compare import compare
from policy.verify.openflow import read_bridge
from policy.verify.ovsdb import Unreadable, read_database
from policy.verify.site import Settings, Site, chosen, site
from topology.learned import WORDS, sources_of
from topology.ports import Bridge

DEFAULT_REMOTE = "unix:/var/run/openvswitch/db.sock"
# Seconds between two looks at a switch whose flows or rows are just being changed.
_PAUSE = 0.25


def _remotes(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if (problem := remote_problem(value)) is not None:
            raise click.BadParameter(problem, context, parameter)
    return tuple(dict.fromkeys(values)) or (DEFAULT_REMOTE,)


@click.command(short_help="Does a switch hold exactly what the policy says?")
@policy_argument
@click.option(
    "--ovsdb",
    multiple=True,
    callback=_remotes,
    metavar="REMOTE",
    help="OVSDB server: unix:FILE of this machine, whose bridges are verified; tcp:HOST:PORT of another, whose vNICs "
    f"only need to be known. Repeatable. Default: {DEFAULT_REMOTE}.",
)
@click.option("--bridge", multiple=True, metavar="NAME", help="As for 'portcullis run'. Repeatable.")
@click.option("--uplink", multiple=True, metavar="NAME", help="As for 'portcullis run'. Repeatable.")
@click.option("--learn", multiple=True, type=click.Choice(list(WORDS)), help="As for 'portcullis run'. Default: dhcp.")
@click.option("--audit", is_flag=True, help="As for 'portcullis run'.")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(0, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Look again for so long before a difference counts: a change may be on its way.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON (docs/commands.md).")
def verify(
    policy: Path,
    ovsdb: tuple[str, ...],
    bridge: tuple[str, ...],
    uplink: tuple[str, ...],
    learn: tuple[str, ...],
    audit: bool,
    seconds: float,
    as_json: bool,
) -> None:
    """Prove that this machine's bridges hold exactly the flows and meters that POLICY wants, or name each difference.

    No controller is asked, none need run: rows are read from OVSDB, flows and meters from each bridge's management
    socket, and what is wanted is worked out here. Say --bridge, --uplink, --learn and --audit as 'portcullis run' has
    them, and with --ovsdb all servers whose vNICs the controller knows. Nothing is changed.

    Exit status: 0 every bridge holds just that; 1 it does not; 2 no answer: something could not be read, does not stand
    still, or was written by another version.

    \b
    Examples:
      portcullis verify /etc/portcullis --uplink eth1
      portcullis verify /etc/portcullis --uplink eth1 --json | jq '.bridges[].differences'
    """
    if math.isnan(seconds):
        raise click.BadParameter("nan is no time", param_hint="'--wait'")
    try:
        sources = sources_of(learn or ("dhcp",))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--learn'") from None
    document = load_policy(policy)
    settings = Settings(uplink, bridge, sources, audit)
    deadline = time.monotonic() + seconds
    while True:
        answer = _look(document, ovsdb, settings)
        over = time.monotonic() + _PAUSE > deadline
        if answer is not None and (answer.holds or over):
            break
        if over:
            raise NoAnswer("OVSDB's rows change all the time: what is wanted does not stand still; try again")
        time.sleep(_PAUSE)
    if as_json:
        print_json(verified_json(answer))
    else:
        show(out(), answer)
    if not answer.holds:
        stop(NO)


def _look(document: Document, remotes: Sequence[str], settings: Settings) -> Verified | None:
    """One look at everything; None: the rows have changed meanwhile."""
    try:
        databases = [read_database(remote) for remote in remotes]
        known = site(document, databases, settings, time.time())
        local = [remote for remote in remotes if remote.startswith("unix:")]
        bridges, others = chosen(known.topology, local, settings)
        _check_names(settings, bridges)
        found = tuple(_compare(document, known, bridge) for bridge in bridges)
        if [read_database(remote) for remote in remotes] != databases:
            return None
    except Unreadable as error:
        raise NoAnswer(str(error)) from None
    return Verified(document.revision, found, tuple(others))


def _check_names(settings: Settings, bridges: Sequence[Bridge]) -> None:
    """Nothing that was asked for may be passed over in silence."""
    for name in settings.bridges:
        if not any(fnmatchcase(bridge.name, name) for bridge in bridges):
            raise NoAnswer(f"no bridge of this machine's OVSDB is called {name}")
    if not bridges:
        raise NoAnswer("no bridge here has fail_mode=secure or vNICs: there is nothing to verify (see --bridge)")


def _compare(document: Document, known: Site, bridge: Bridge) -> VerifiedBridge:
    folder = Path(bridge.remote.removeprefix("unix:")).parent
    if "/" in bridge.name or bridge.dpid is None:
        why = next((finding.message for finding in bridge.findings), "it has no datapath id of its own")
        raise Unreadable(f"bridge {bridge.name}: {why}")
    socket = str(folder / f"{bridge.name}.mgmt")
    told = read_bridge(socket)
    if told.dpid != bridge.dpid:
        raise Unreadable(f"{socket}: the bridge there has datapath id {told.dpid:016x}, OVSDB says {bridge.dpid:016x}")
    try:
        return VerifiedBridge(bridge, compare(known.compiled, bridge, told), _reasons(document, known, bridge))
    except (Unreadable, WireError) as error:
        raise Unreadable(f"bridge {bridge.name}: {error}") from None


def _reasons(document: Document, known: Site, bridge: Bridge) -> Reasons:
    """Explains this bridge's cookies. Zones are each host's own, so only its own vNICs are known by theirs."""
    live = tuple(
        LiveVnic(port.vnic, port.zone if each is bridge else None, each.name, port.name)
        for each in known.topology.bridges
        for port in each.vnic_ports
        if port.ready
    )
    return Reasons(document, lambda: live)
