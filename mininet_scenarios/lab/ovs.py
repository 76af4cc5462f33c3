"""A private Open vSwitch: its own database, switch process, directory and network namespace, any number side by side.

The namespace is needed: every userspace datapath makes a device called `ovs-netdev`, so there can be one datapath in
each. It also keeps the machine itself off the switch's ends of the cables: nobody there has an address.
"""

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mininet_scenarios.lab.controller import PATIENCE
from mininet_scenarios.lab.names import fresh
from mininet_scenarios.lab.shell import CommandError, check_tools, ip, last_lines, run

# Where OVS's own programs look for it, too (ovs-vsctl(8)); the programs themselves are found by PATH.
SCHEMA = Path(os.environ.get("OVS_PKGDATADIR", "/usr/share/openvswitch")) / "vswitch.ovsschema"
PROTOCOLS = "OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"
DAEMONS = ("ovs-vswitchd", "ovsdb-server")

# What `dummy` means to the switch: "ports" allows dummy ports beside real ones, "override" makes all ports dummies.
DUMMY = {"ports": "--enable-dummy", "override": "--enable-dummy=override"}


# A switch that waits for the processor loses frames: the ports' sockets hold some 250 of them, half a second of a brisk
# stream. The switch is what is tested, so it goes before those who test it.
AHEAD = ("nice", "-n", "-15")


class Ovs:
    """ovsdb-server and ovs-vswitchd, with the userspace datapath: no kernel module is needed.

    With `isolated=False` the switch is in the machine's own namespace, where Mininet puts its switches and cables:
    there can be only one such switch in a machine.
    """

    def __init__(self, *, dummy: str | None = None, isolated: bool = True) -> None:
        check_tools()
        self.dummy = dummy
        self.namespace = f"{fresh('n')}-switch" if isolated else None
        self._numbers = itertools.count()
        self.run_dir = Path(tempfile.mkdtemp(prefix=f"{fresh('d')}-"))
        self.db_socket = self.run_dir / "db.sock"
        self.bridges: list[str] = []
        names = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
        self.env = os.environ | {name: str(self.run_dir) for name in names}
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    @property
    def db(self) -> str:
        """The database, as OVSDB clients name it."""
        return f"unix:{self.db_socket}"

    def pid(self, daemon: str = "ovs-vswitchd") -> int:
        """The process number of one of the two daemons."""
        return int((self.run_dir / f"{daemon}.pid").read_text())

    def log(self, daemon: str = "ovs-vswitchd") -> Path:
        """The log file of one of the two daemons."""
        return self.run_dir / f"{daemon}.log"

    def vsctl(self, *args: str) -> str:
        """ovs-vsctl; waits until the switch has done it."""
        return run("ovs-vsctl", f"--db={self.db}", f"--timeout={PATIENCE:.0f}", *args, env=self.env).strip()

    def ofctl(self, command: str, bridge: str, *args: str) -> str:
        """ovs-ofctl COMMAND BRIDGE ARGS, over OpenFlow 1.4."""
        return run("ovs-ofctl", "-O", "OpenFlow14", f"--timeout={PATIENCE:.0f}", command, bridge, *args, env=self.env)

    def appctl(self, *args: str) -> str:
        """ovs-appctl to this switch process."""
        here = str(self.run_dir / "ovs-vswitchd.ctl")
        return run("ovs-appctl", f"--timeout={PATIENCE:.0f}", "-t", here, *args, env=self.env)

    def add_bridge(self, name: str | None = None, *, controller: str | None = None, fail_mode: str = "secure") -> str:
        """Add a bridge and return its name. `controller` is a target such as `tcp:127.0.0.1:6653`.

        The controller is called from the switch's namespace: it must be there too.
        """
        bridge = name or (f"br{next(self._numbers)}" if self.namespace else fresh("b"))
        datapath = "dummy" if self.dummy == "override" else "netdev"
        settings = [f"datapath_type={datapath}", f"fail_mode={fail_mode}", f"protocols={PROTOCOLS}"]
        settings += ["other_config:disable-in-band=true"]
        command = ["--", "add-br", bridge, "--", "set", "bridge", bridge, *settings]
        if controller is not None:
            # Out of band: no hidden flows. A controller that does not listen is called again every second; one whose
            # connections end several times in a row after up to eight, whatever max_backoff says (OVS 3.1).
            options = ["connection_mode=out-of-band", "max_backoff=1000", "inactivity_probe=5000"]
            command += ["--", "set-controller", bridge, controller, "--", "set", "controller", bridge, *options]
        self.vsctl(*command)
        self.bridges.append(bridge)
        return bridge

    def del_bridge(self, bridge: str) -> None:
        """Take a bridge away."""
        self.vsctl("--if-exists", "del-br", bridge)
        self.bridges.remove(bridge)

    def normal(self, bridge: str) -> None:
        """Make a bridge an ordinary learning switch."""
        self.ofctl("add-flow", bridge, "priority=0,actions=NORMAL")

    def ofport(self, interface: str) -> int:
        """The OpenFlow number of a port."""
        there = ["wait-until", "interface", interface, "ofport>0"]
        return int(self.vsctl(*there, "--", "get", "interface", interface, "ofport"))

    def find(self, table: str, *conditions: str) -> list[dict[str, Any]]:
        """Rows of the database as dictionaries; sets and maps in OVSDB's own JSON."""
        answer = json.loads(self.vsctl("--format=json", "find", table, *conditions))
        return [dict(zip(answer["headings"], row, strict=True)) for row in answer["data"]]

    def flows(self, bridge: str) -> list[str]:
        """The OpenFlow flows of a bridge, names for ports and tables, one a line, without statistics."""
        lines = self.ofctl("dump-flows", bridge, "--no-stats", "--names").splitlines()
        return [line.strip() for line in lines if "actions=" in line]

    def megaflows(self) -> list[str]:
        """The datapath's flows: what it has learned from packets so far."""
        return [line for line in self.appctl("dpctl/dump-flows", "-m", "--names").splitlines() if "actions:" in line]

    def conntrack(self) -> list[str]:
        """The connections that the datapath tracks."""
        return self.appctl("dpctl/dump-conntrack").splitlines()

    def settle(self) -> None:
        """Let the datapath forget its flows: the next packet is judged by the OpenFlow flows as they are now.

        The switch confirms a change some milliseconds before its datapath has been gone through: until then a packet
        may still meet what the datapath had learned before. `revalidator/wait` would not do: it ends with the round
        in progress, which may have begun before the change.
        """
        self.appctl("revalidator/purge")

    def trace(self, bridge: str, flow: str) -> str:
        """What would become of a packet: ofproto/trace."""
        return self.appctl("ofproto/trace", bridge, flow)

    def report(self) -> str:
        """For the reader of a failure: the end of the log, and the flows of every bridge."""
        parts = [last_lines(self.log())]
        for bridge in self.bridges:
            with contextlib.suppress(CommandError):
                parts.append(f"--- flows of {bridge}\n" + "\n".join(self.flows(bridge)))
        return "\n".join(parts)

    def stop(self) -> None:
        """Stop both daemons, take their devices along, and remove the directory."""
        for bridge in list(self.bridges):
            # Only the switch process can remove its devices in good order; if it is dead they are gone with it.
            with contextlib.suppress(CommandError):
                self.del_bridge(bridge)
        for daemon in DAEMONS:
            self._stop_daemon(daemon)
        if self.namespace is not None:
            with contextlib.suppress(CommandError):
                run("ip", "netns", "delete", self.namespace)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def kill9(self, daemon: str = "ovs-vswitchd") -> None:
        """One of the two daemons dies without a chance to do anything."""
        kill_process(self.pid(daemon))

    def start_daemon(self, daemon: str = "ovs-vswitchd") -> None:
        """Start one of the two daemons again, with the database as it is; returns when it is ready."""
        if daemon == "ovsdb-server":
            self._daemon(daemon, str(self.run_dir / "conf.db"), f"--remote=punix:{self.db_socket}")
        else:
            self._daemon(daemon, self.db, *([DUMMY[self.dummy]] if self.dummy else []))

    @contextlib.contextmanager
    def stalled(self, daemon: str = "ovs-vswitchd") -> Iterator[None]:
        """One of the two daemons is there, but does nothing (SIGSTOP), and then goes on."""
        pid = self.pid(daemon)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def inside(self, *command: str) -> list[str]:
        """A command as it is to be run in the switch's namespace."""
        return ["ip", "netns", "exec", self.namespace, *command] if self.namespace else list(command)

    def _start(self) -> None:
        if self.namespace is not None:
            run("ip", "netns", "add", self.namespace)
            # The kernel is to carry frames here, not to take part: it would speak IPv6 on every cable by itself.
            run(*self.inside("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"))
            ip("link set lo up", inside=self.namespace)
        database = self.run_dir / "conf.db"
        run("ovsdb-tool", "create", str(database), str(SCHEMA), env=self.env)
        # A daemon that detaches does so when it is ready: no need to wait for anything afterwards.
        self.start_daemon("ovsdb-server")
        run("ovs-vsctl", f"--db={self.db}", "--no-wait", "init", env=self.env)
        # Two threads are plenty here, and many switches share few processors.
        threads = ["other_config:n-handler-threads=1", "other_config:n-revalidator-threads=1"]
        # The datapath is gone through after every change at once, and else every 0.5 s; `settle` waits for two rounds.
        settings = [*threads, "other_config:max-revalidator=100"]
        run("ovs-vsctl", f"--db={self.db}", "--no-wait", "set", "Open_vSwitch", ".", *settings, env=self.env)
        self.start_daemon("ovs-vswitchd")

    def _daemon(self, name: str, *args: str) -> None:
        files = [f"--pidfile={self.run_dir}/{name}.pid", f"--unixctl={self.run_dir}/{name}.ctl"]
        logging = [f"--log-file={self.log(name)}", "-vconsole:off"]
        try:
            run(*self.inside(*AHEAD, name, *args, *files, *logging, "--no-chdir", "--detach"), env=self.env)
        except CommandError as error:
            raise CommandError(f"{error}\n{last_lines(self.log(name))}") from None

    def _stop_daemon(self, daemon: str) -> None:
        try:
            pid = self.pid(daemon)
        except (OSError, ValueError):  # it never started
            return
        end_process(pid, str(self.run_dir))


def kill_process(pid: int, patience: float = 5.0) -> None:
    """End one process without a chance to do anything; returns when it is gone, with its locks and its sockets.

    A killed process has no command line any more while the kernel still takes its memory apart.
    """
    handle = os.pidfd_open(pid)
    with os.fdopen(handle):
        os.kill(pid, signal.SIGKILL)
        if not select.select([handle], [], [], patience)[0]:
            raise CommandError(f"process {pid} does not die")


def end_process(pid: int, named: str, patience: float = 5.0) -> None:
    """End one process, if it is the one we mean (its command line has `named`): politely, then not."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(handle), contextlib.suppress(ProcessLookupError):
        if named.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, patience)):
            os.kill(pid, number)
            if select.select([handle], [], [], wait)[0]:
                return
        raise CommandError(f"process {pid} ({named}) does not end")
