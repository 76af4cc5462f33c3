"""`portcullis verify`: does a switch hold exactly what the policy says? Asks the switch, and no controller."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import click

from policy.commands.endpoints import remote_problem
from policy.commands.flow_lines import lines_of
from policy.commands.live import LiveVnic
from policy.commands.output import NO, NoAnswer, out, print_json, stop
from policy.commands.policies import load_policy, policy_argument
from policy.commands.reasons import Reasons
from policy.commands.verify_text import Verified, VerifiedBridge, show, verified_json
from policy.flows.openflow import WireError
from policy.model import Document
from policy.verify.compare import compare
from policy.verify.evidence import Evidence, read_evidence
from policy.verify.openflow import Told, read_bridge
from policy.verify.ovsdb import Unreadable, read_database
from policy.verify.site import Settings, Site, chosen, site
from topology.learned import WORDS, sources_of
from topology.ports import Bridge

DEFAULT_REMOTE = "unix:/var/run/openvswitch/db.sock"
# Seconds between two looks at a switch whose flows or rows are just being changed.
_PAUSE = 0.25
# `ovsdb-client` writes a whole table in one line.
MAX_ROWS = 2**28


def _remotes(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if (problem := remote_problem(value)) is not None:
            raise click.BadParameter(problem, context, parameter)
    return tuple(dict.fromkeys(values))


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
@click.option(
    "--evidence",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="What was collected on another machine (docs/commands.md says how), - for standard input; then no switch here "
    "is looked at. Repeatable.",
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
    evidence: tuple[str, ...],
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
      portcullis verify ./policy --uplink eth1 --evidence hv1.txt
    """
    if math.isnan(seconds):
        raise click.BadParameter("nan is no time", param_hint="'--wait'")
    try:
        sources = sources_of(learn or ("dhcp",))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--learn'") from None
    document = load_policy(policy)
    settings = Settings(uplink, bridge, sources, audit)
    try:
        if evidence:
            answer = _read(document, evidence, ovsdb, settings)
        else:
            answer = _settled(document, ovsdb or (DEFAULT_REMOTE,), settings, time.monotonic() + seconds)
    except Unreadable as error:
        raise NoAnswer(str(error)) from None
    if as_json:
        print_json(verified_json(answer))
    else:
        show(out(), answer)
    if not answer.holds:
        stop(NO)


def _settled(document: Document, remotes: Sequence[str], settings: Settings, deadline: float) -> Verified:
    """Looks again as long as there are differences and there is time. Raises `Unreadable`."""
    while True:
        answer = _look(document, remotes, settings)
        over = time.monotonic() + _PAUSE > deadline
        if answer is not None and (answer.holds or over):
            return answer
        if over:
            raise Unreadable("OVSDB's rows change all the time: what is wanted does not stand still; try again")
        time.sleep(_PAUSE)


def _look(document: Document, remotes: Sequence[str], settings: Settings) -> Verified | None:
    """One look at the switches of this machine; None: the rows have changed meanwhile."""
    databases = [read_database(remote) for remote in remotes]
    known = site(document, databases, settings, time.time())
    local = [remote for remote in remotes if remote.startswith("unix:")]
    bridges, others = chosen(known.topology, local, settings)
    _check_names(settings, bridges)
    found = tuple(_compare(document, known, bridge, _told(bridge)) for bridge in bridges)
    if [read_database(remote) for remote in remotes] != databases:
        return None
    return Verified(document.revision, found, tuple(others))


def _read(document: Document, files: Sequence[str], remotes: Sequence[str], settings: Settings) -> Verified:
    """What was collected, with the rows of these servers besides. Raises `Unreadable`."""
    collected = [_evidence(name) for name in files]
    databases = [*(each.database for each in collected), *map(read_database, remotes)]
    times = [each.at for each in collected if each.at is not None]
    known = site(document, databases, settings, min(times, default=time.time()))
    found: list[VerifiedBridge] = []
    for each in collected:
        if each.told is None:
            continue
        here = [bridge for bridge in known.topology.bridges if bridge.remote == each.database.remote]
        bridge = next((bridge for bridge in here if bridge.dpid == each.told.dpid), None)
        if bridge is None:
            raise Unreadable(f"{each.name}: OVSDB knows no bridge {each.told.dpid:016x} (that --bridge allows)")
        found.append(_compare(document, known, bridge, each.told))
    if not found:
        raise Unreadable("no bridge's flows are in what was collected")
    return Verified(document.revision, tuple(found), ())


def _evidence(file: str) -> Evidence:
    name = "standard input" if file == "-" else file
    with click.open_file(file, "rb") as stream:
        return read_evidence(name, lines_of(stream, name, MAX_ROWS))


def _check_names(settings: Settings, bridges: Sequence[Bridge]) -> None:
    """Nothing that was asked for may be passed over in silence."""
    for name in settings.bridges:
        if not any(fnmatchcase(bridge.name, name) for bridge in bridges):
            raise Unreadable(f"no bridge of this machine's OVSDB is called {name}")
    if not bridges:
        raise Unreadable("no bridge here has fail_mode=secure or vNICs: there is nothing to verify (see --bridge)")


def _told(bridge: Bridge) -> Told:
    """What a bridge of this machine holds. Raises `Unreadable`."""
    folder = Path(bridge.remote.removeprefix("unix:")).parent
    if "/" in bridge.name or bridge.dpid is None:
        why = next((finding.message for finding in bridge.findings), "it has no datapath id of its own")
        raise Unreadable(f"bridge {bridge.name}: {why}")
    socket = str(folder / f"{bridge.name}.mgmt")
    told = read_bridge(socket)
    if told.dpid != bridge.dpid:
        raise Unreadable(f"{socket}: the bridge there has datapath id {told.dpid:016x}, OVSDB says {bridge.dpid:016x}")
    return told


def _compare(document: Document, known: Site, bridge: Bridge, told: Told) -> VerifiedBridge:
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
