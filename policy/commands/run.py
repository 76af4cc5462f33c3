"""`portcullis run`: the controller, which is a Ryu application that ryu-manager runs. This process becomes it."""

from __future__ import annotations

import importlib.util
import math
import os
import shlex
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import NoReturn

import click

from policy.commands.endpoints import is_port, listening_problem, remote_problem
from policy.commands.output import WRONG, NoAnswer, stop

# For the controller's process, where nobody has said otherwise. What is about memory saves some 12 MB.
ENVIRONMENT = {
    # Ryu brings eventlet, whose advice to programmers is nothing that an operator could follow.
    "PYTHONWARNINGS": "ignore:::ryu.lib.hub",
    # Eventlet's own resolver of names stays away, as nothing asks it: python-ovs and the sinks of the log do without.
    "EVENTLET_NO_GREENDNS": "yes",
    # The C library gives back what is free as soon as it is much, and real threads, of which only one works at a time,
    # have one stock of it.
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "MALLOC_ARENA_MAX": "1",
}
if sys.version_info < (3, 12):
    # Ryu asks distutils for one class. As long as Python has that itself, setuptools need not come with its own.
    ENVIRONMENT["SETUPTOOLS_USE_DISTUTILS"] = "stdlib"

DEFAULT_LISTEN = "127.0.0.1:6653"
DEFAULT_STATUS_PORT = 8080


class _Listen(click.ParamType[tuple[str, int]]):
    """ADDRESS:PORT, an IPv6 address in brackets."""

    name = "address:port"

    def convert(
        self, value: str | tuple[str, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        if value.startswith(("ssl:", "pssl:", "tcp:", "ptcp:")):
            self.fail(
                f"{value!r} is not an IP address and a port, like {DEFAULT_LISTEN}. Over TLS it is listened to if "
                "--config-file names ctl_privkey and ctl_cert (and ca_certs) in [DEFAULT]: docs/operation.md, TLS",
                param,
                ctx,
            )
        text, _, port = value.rpartition(":")
        bracketed = text.startswith("[") and text.endswith("]")
        try:
            address = ip_address(text[1:-1] if bracketed else text)
        except ValueError:
            self.fail(f"{value!r} is not an IP address and a port, like {DEFAULT_LISTEN} or [::1]:6653", param, ctx)
        if bracketed is not (address.version == 6):
            self.fail(f"{value!r}: an IPv6 address (and no other) stands in brackets, like [::1]:6653", param, ctx)
        if not is_port(port):
            self.fail(f"{value!r}: a port is a number from 1 to 65535", param, ctx)
        return str(address), int(port)


class _Remote(click.ParamType[str]):
    """An OVSDB server."""

    name = "remote"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if (problem := remote_problem(value)) is not None:
            self.fail(problem, param, ctx)
        return value


class _RunCommand(click.Command):
    """Takes what stands behind ``--`` away from click, so that a stray word before it stays an error."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.meta[_RYU_ARGUMENTS] = args[place + 1 :]
            args = args[:place]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- RYU_ARGS]"]


_RYU_ARGUMENTS = f"{__name__}.ryu_arguments"


def _number(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """No nan: it is within every range."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is not a number", context, parameter)
    return value


@click.command(cls=_RunCommand)
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--ovsdb",
    type=_Remote(),
    multiple=True,
    metavar="REMOTE",
    help="OVSDB server of a switch: unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT. Repeatable. Default: this machine's, "
    "unix:/var/run/openvswitch/db.sock.",
)
@click.option(
    "--uplink",
    multiple=True,
    metavar="NAME",
    help="Port to the outside world, by name or shell glob. Repeatable. Ports with external_ids:role=uplink in OVSDB, "
    "patch and tunnel ports are uplinks anyway.",
)
@click.option(
    "--bridge",
    multiple=True,
    metavar="NAME",
    help="Bridge to firewall, by name or shell glob, connected or not; all others are left alone. Repeatable. Default: "
    "every bridge that connects, or has fail_mode=secure already.",
)
@click.option(
    "--log",
    multiple=True,
    metavar="SINK",
    help="Where decisions and drops are logged (docs/logging.md): file:PATH, syslog, syslog:unix:PATH, "
    "syslog:HOST:PORT or stdout. Repeatable.",
)
@click.option(
    "--log-rate",
    type=click.FloatRange(0.01, 100_000),
    callback=_number,
    metavar="LINES",
    help="The most lines a second that one rule may log; the rest is counted.  [default: 100]",
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 86_400),
    callback=_number,
    metavar="SECONDS",
    help="How long a start waits for OVSDB servers that do not answer.  [default: 10]",
)
@click.option(
    "--listen",
    type=_Listen(),
    default=DEFAULT_LISTEN,
    show_default=True,
    help="Where bridges connect to. Whoever reaches it can pose as a bridge: let only your hypervisors.",
)
@click.option(
    "--status-port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_STATUS_PORT,
    show_default=True,
    help="Port of the status pages, on 127.0.0.1.",
)
@click.option(
    "--config-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="More settings, in a file of ryu-manager's (see docs/commands.md).",
)
@click.option(
    "--learn",
    multiple=True,
    type=click.Choice(["dhcp", "first-use", "none"]),
    help="How vNICs whose addresses nobody states come to some: what DHCP servers give them, what they use first (ARP, "
    "neighbour discovery), not at all. Repeatable. Default: dhcp.",
)
@click.option(
    "--learn-limit",
    type=click.IntRange(1, 16),
    help="The most addresses of each family that a vNIC may have by first use. Default: 2.",
)
@click.option(
    "--audit", is_flag=True, help="Only look: what no rule decides is logged and ALLOWED, not denied."
)
@click.option("--verbose", is_flag=True, help="Log more, for debugging.")
@click.option("--dry-run", is_flag=True, help="Print the command instead of becoming it.")
@click.pass_context
def run(
    context: click.Context,
    directory: Path,
    ovsdb: tuple[str, ...],
    uplink: tuple[str, ...],
    bridge: tuple[str, ...],
    log: tuple[str, ...],
    log_rate: float | None,
    grace: float | None,
    listen: tuple[str, int],
    status_port: int,
    config_file: Path | None,
    learn: tuple[str, ...],
    learn_limit: int | None,
    audit: bool,
    verbose: bool,
    dry_run: bool,
) -> None:
    """Run the controller: enforce the policy in DIR.

    DIR (or a single file) is watched: a change is checked, and enforced on all bridges at once. A change with a mistake
    is refused, and what was in force stays in force; `portcullis status` says so. Logs go to standard error.

    What stands behind -- is given to ryu-manager as it is.

    Exit status: 2 wrong usage; after that ryu-manager's, which this process becomes (70: a defect, told in the log).

    \b
    Examples:
      portcullis run /etc/portcullis --uplink eth1
      portcullis run ./policy --ovsdb tcp:10.0.0.5:6640 --listen 10.0.0.2:6653
      portcullis run /etc/portcullis --dry-run -- --log-file /var/log/portcullis.log
    \b
    Then tell each bridge where the controller is:
      ovs-vsctl set-controller br0 tcp:127.0.0.1:6653
    """
    if "none" in learn and len(set(learn)) > 1:
        raise click.BadParameter("none stands alone", param_hint="'--learn'")
    application = _application()
    address, port = listen
    command = [
        str(_ryu_manager()),
        # In two words: ryu-manager looks for this option by itself, before it knows any other.
        *("--user-flags", str(application / "settings.py")),
        *([f"--config-file={config_file}"] if config_file is not None else []),
        f"--portcullis-policy={directory.absolute()}",
        *(f"--portcullis-ovsdb={remote}" for remote in ovsdb),
        *(f"--portcullis-uplink={name}" for name in uplink),
        *(["--portcullis-audit"] if audit else []),
        *(f"--portcullis-bridge={name}" for name in bridge),
        *(f"--portcullis-learn={how}" for how in learn),
        *([f"--portcullis-learn-limit={learn_limit}"] if learn_limit is not None else []),
        *(f"--portcullis-log={sink}" for sink in log),
        *([f"--portcullis-log-rate={log_rate}"] if log_rate is not None else []),
        *([f"--portcullis-grace={grace}"] if grace is not None else []),
        f"--ofp-listen-host={address}",
        f"--ofp-tcp-listen-port={port}",
        # Ryu listens at one of the two: at this one if it is given a key and a certificate (docs/operation.md, TLS).
        f"--ofp-ssl-listen-port={port}",
        "--wsapi-host=127.0.0.1",
        f"--wsapi-port={status_port}",
        *(["--verbose"] if verbose else []),
        str(application / "portcullis.py"),
        *context.meta.get(_RYU_ARGUMENTS, []),
    ]
    if dry_run:
        click.echo(shlex.join(command))
        return
    for place in (listen, ("127.0.0.1", status_port)):
        if (problem := listening_problem(*place)) is not None:
            click.echo(f"portcullis: {problem}", err=True)
            stop(WRONG)
    _become(command)


def _application() -> Path:
    """The folder of the Ryu application. It is found, not imported: this program works where there is no Ryu."""
    spec = importlib.util.find_spec("ryu_apps")
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in map(Path, folders or ()):
        if (folder / "portcullis.py").is_file():
            return folder
    raise NoAnswer("the controller's own files (ryu_apps) are not installed beside this command")


def _ryu_manager() -> Path:
    """The ryu-manager of the environment that this command runs in; another would not find the application."""
    manager = Path(sys.executable).parent / "ryu-manager"
    if not os.access(manager, os.X_OK):
        raise NoAnswer(f"{manager} is not there: install Ryu into the same environment (see docs/dependencies.md)")
    return manager


def _become(command: list[str]) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(command[0], command, {**ENVIRONMENT, **os.environ})
    except OSError as error:
        raise NoAnswer(f"cannot run {command[0]}: {error.strerror}") from None
