"""Running the machine's commands, with errors that say what was run and what it said."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# What a laboratory may need, and the Debian package that brings it.
TOOLS = {
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "ovs-vsctl": "openvswitch-switch",
    "ovs-ofctl": "openvswitch-common",
    "ip": "iproute2",
    "ethtool": "ethtool",
    "dnsmasq": "dnsmasq-base",
    "dhclient": "isc-dhcp-client",
}
# Without these there is none.
NEEDED = ("ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "ovs-ofctl", "ip", "ethtool")


class CommandError(Exception):
    """A command of the machine failed."""


class MissingTools(Exception):
    """The machine lacks something that live tests need."""


def run(*command: str, env: Mapping[str, str] | None = None, timeout: float = 30, text: str | None = None) -> str:
    """Run a command to its end and return what it printed; `text` is its input."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=timeout, check=False, env=env
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{' '.join(command)}: not done in {timeout:.0f} s; {error.stderr!r}") from None
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()
        given = f"\n<<<\n{text}" if text else ""
        raise CommandError(f"{' '.join(command)}: status {done.returncode}: {said}{given}")
    return done.stdout


def ip(*batch: str, inside: str | None = None) -> None:
    """Carry out `ip` commands, all in one process, in a namespace if one is named."""
    where = ["-n", inside] if inside else []
    run("ip", *where, "-batch", "-", text="\n".join(batch) + "\n")


def check_tools(tools: Sequence[str] = NEEDED) -> None:
    """Raise, with what to install, if the machine cannot hold a laboratory."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
        raise MissingTools(f"missing: {', '.join(missing)}; run 'make setup', or apt-get install {packages}")
    if os.geteuid() != 0:
        raise MissingTools("network namespaces and switches need root: run the live tests as root (sudo make live)")


def last_lines(path: Path, count: int = 40) -> str:
    """The end of a log file."""
    if not path.exists():
        return f"({path}: no such file)"
    lines = path.read_text(errors="replace").splitlines()
    return "\n".join([f"--- {path}, last {min(count, len(lines))} of {len(lines)} lines", *lines[-count:]])
