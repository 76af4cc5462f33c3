"""`portcullis status`: is the newest policy in force everywhere? The page is described in docs/status.md."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable

import click
from rich.table import Table
from rich.text import Text

from policy.commands.client import PATIENCE, Controller, Json, Unreachable, addresses, rows, text, texts, url_option
from policy.commands.output import NO, NoAnswer, out, print_json, say, stop, verdict
from policy.plain import clean, counted

# The longest that one request waits; the controller allows ten minutes.
_STEP = 60.0
# Pause before asking again a controller that is not there, or that has answered early.
_PAUSE = 0.25


@click.command(short_help="Is the newest policy in force everywhere?")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(0, 86400),
    default=0.0,
    metavar="SECONDS",
    help="Wait until the newest policy is in force everywhere or is refused, at most so long.",
)
@url_option
@click.option("--json", "as_json", is_flag=True, help="Print the controller's answer as JSON (docs/status.md).")
def status(seconds: float, url: Controller, as_json: bool) -> None:
    """Show what the controller enforces, where, and what keeps it from more.

    Exit status: 0 every bridge enforces the newest policy; 1 not so: the time is over, something is missing, or the
    newest policy was refused; 2 no controller answers.

    \b
    Examples:
      portcullis status
      cp new.yaml /etc/portcullis/ && portcullis status --wait 30
      portcullis status --json | jq .waiting_for
    """
    if math.isnan(seconds):
        raise click.BadParameter("nan is no time", param_hint="'--wait'")
    page = _ask(url, seconds)
    enforced = page.get("enforced")
    if not isinstance(enforced, bool):
        raise NoAnswer(f"what answers at {url.url} is not Portcullis: its status does not say what is enforced")
    if as_json:
        print_json(page)
    else:
        _show(page, enforced)
    if not enforced:
        stop(NO)


def _ask(url: Controller, seconds: float) -> Json:
    """The status, at once or when it is settled or the time is over. A controller that starts meanwhile will do."""
    deadline = time.monotonic() + seconds
    while True:
        left = max(0.0, deadline - time.monotonic())
        wait = min(left, _STEP)
        try:
            page = url.get(f"/portcullis/status?wait={wait:.3f}", seconds=wait + PATIENCE)
        except Unreachable:
            if deadline - time.monotonic() <= 0:
                raise
        else:
            if page.get("enforced") or _refused(page) or deadline - time.monotonic() <= 0:
                return page
        time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))


def _policy(page: Json) -> Json:
    found = page.get("policy")
    return found if isinstance(found, dict) else {}


def _refused(page: Json) -> bool:
    return bool(_policy(page).get("errors"))


def _show(page: Json, enforced: bool) -> None:
    console = out()
    policy = _policy(page)
    if enforced:
        say(console, Text("enforced", style="bold green"), f": revision {text(policy, 'revision')} on every bridge")
    else:
        say(console, Text("not enforced", style="bold red"), ": waiting for")
        for reason in texts(page, "waiting_for"):
            say(console, f"  - {reason}")
    say(
        console,
        f"policy {text(policy, 'path')}: {text(policy, 'state')}, revision {text(policy, 'revision')}, "
        f"{counted(_number(policy, 'rules'), 'rule', 'rules')}, {counted(_number(policy, 'vms'), 'VM', 'VMs')}",
    )
    if short := _in_short(page):
        say(console, short)
    for error in rows(policy, "errors"):
        where = f"  {text(error, 'file')}:{text(error, 'line')}:{text(error, 'column')}: "
        say(console, Text(where, style="bold"), text(error, "message"))
    for file in texts(policy, "being_written"):
        say(console, f"  {file} is open for writing: it is read when it is closed")
    for line in _alarms(page):
        say(console, Text(line, style="bold red"))
    for table in _tables(page):
        if table.row_count:
            console.print()
            console.print(table)


def _in_short(page: Json) -> str:
    """How many vNICs are in which state: of a thousand, nobody looks for the one that is shut."""
    states = Counter(text(row, "state") for row in rows(page, "vnics") if row.get("vnic") is not None)
    told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return f"{counted(states.total(), 'vNIC', 'vNICs')}: {told}" if told else ""


def _alarms(page: Json) -> Iterable[str]:
    """What keeps nothing from being enforced, and should be looked at all the same."""
    for bridge in rows(page, "bridges"):
        called = f"bridge {text(bridge, 'name')} of {text(bridge, 'host')}, since it connected:"
        if drift := _number(bridge, "drift"):
            yield f"{called} somebody else has changed it, drift {drift} (put back)"
        if removed := _number(bridge, "foreign_removed"):
            yield f"{called} {counted(removed, 'flow', 'flows')} of others removed"
    for sink in rows(page, "log"):
        lost = _number(sink, "lost")
        called, losses = f"log {text(sink, 'sink')}", f"{counted(lost, 'line', 'lines')} lost"
        if sink.get("error") is not None:
            yield f"{called} cannot be written: {text(sink, 'error')}; {losses}"
        elif lost:
            yield f"{called}: {losses}"


def _number(value: Json, key: str) -> int:
    found = value.get(key)
    return found if isinstance(found, int) else 0


def _tables(page: Json) -> Iterable[Table]:
    yield _table(
        "Bridges",
        ("bridge", "host", "state", "wanted", "in force", "flows", "error"),
        (
            (
                text(row, "name"),
                text(row, "host"),
                _bridge_state(row),
                text(row, "wanted"),
                _in_force(row),
                text(row, "flows"),
                text(row, "error", ""),
            )
            for row in rows(page, "bridges")
        ),
    )
    yield _table(
        "Bridges that no OVSDB server knows: nothing is enforced there",
        ("datapath id",),
        ((text(row, "dpid"),) for row in rows(page, "unmanaged")),
    )
    yield _table(
        "vNICs and isolated ports",
        ("vNIC", "state", "bridge", "port", "addresses", "reason"),
        (
            (
                text(row, "vnic"),
                verdict(text(row, "state")),
                text(row, "bridge"),
                text(row, "port"),
                ", ".join(addresses(row)),
                text(row, "reason", ""),
            )
            # What is not as it should be comes first.
            for row in sorted(rows(page, "vnics"), key=lambda row: row.get("state") == "enforced")
        ),
    )
    yield _table(
        "Learned addresses", ("vNIC", "address", "source", "known for", "valid for"), _learned(page, time.time())
    )
    yield _table("OVSDB", ("server", "state"), ((text(row, "remote"), _database(row)) for row in rows(page, "ovsdb")))
    yield _table(
        "Findings", ("where", "what"), ((text(row, "where"), text(row, "message")) for row in rows(page, "findings"))
    )


def _learned(page: Json, now: float) -> Iterable[tuple[str, ...]]:
    for vnic in rows(page, "vnics"):
        for entry in rows(vnic, "learned"):
            times = _length(entry, "since", now, -1), _length(entry, "until", now, 1)
            yield text(vnic, "vnic"), text(entry, "address"), text(entry, "source"), *times


def _length(entry: Json, key: str, now: float, sign: int) -> str:
    """The time from or to a moment, in its two largest units; the clocks may differ a little."""
    moment = entry.get(key)
    if not isinstance(moment, int | float):
        return "no end"
    seconds = max(0, int(sign * (moment - now)))
    for size, unit, smaller, of_smaller in ((86400, "d", "h", 3600), (3600, "h", "min", 60), (60, "min", "s", 1)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // of_smaller} {smaller}"
    return f"{seconds} s"


def _bridge_state(bridge: Json) -> str:
    """What it is doing; and after an upgrade, that the tables of the old version are still there."""
    old = bridge.get("old_slots")
    return text(bridge, "state") + ("; the old version's tables are removed in a moment" if old else "")


def _in_force(bridge: Json) -> Text:
    revision = text(bridge, "in_force")
    return Text(revision, style="green" if bridge.get("in_force") == bridge.get("wanted") else "bold red")


def _database(row: Json) -> Text:
    for key in ("error", "write_error"):
        if row.get(key) is not None:
            return Text(text(row, key), style="bold red")
    return Text("connected", style="green")


def _table(title: str, columns: Iterable[str], lines: Iterable[Iterable[str | Text]]) -> Table:
    """A table that leaves nothing out: long values go on in a second line."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, header_style="dim", overflow="fold")
    for line in lines:
        table.add_row(*(Text(clean(cell)) if isinstance(cell, str) else cell for cell in line))
    return table
