"""OVN in the comparison: its own two databases, northd and ovn-controller, private like the switch they belong to.

All run in the switch's namespace, with their files in its directory, and are ended by their process numbers. Changes go
through an `ovn-nbctl` that stays (`--detach`), so that no start of a program is measured.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from bench.as_ovn import Command, addresses, allow, batch, everything, forbid, port_group
from bench.peer import PATIENCE, Controlled
from bench.workload import PROBERS, SECOND_ADDRESS, THIRD, Workload
from mininet_scenarios.lab import Lab
from mininet_scenarios.lab.ovs import end_process, kill_process
from mininet_scenarios.lab.shell import CommandError, MissingTools, run

SCHEMAS = Path("/usr/share/ovn")
# How long ovn-controller keeps the flows of the one before: more than twice its cold start.
LEAST_WAIT_MS, WAIT_MS_PER_VNIC = 1000, 15
TOOLS = ("ovn-northd", "ovn-controller", "ovn-nbctl")


class Ovn(Controlled):
    """ovn-central and ovn-host on the private switch."""

    name = "ovn"

    def __init__(self, lab: Lab, work: Workload) -> None:
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise MissingTools(f"missing: {', '.join(missing)}; 'make bench' installs ovn-central and ovn-host")
        super().__init__(lab, work)
        directory = str(self.ovs.run_dir)
        self.env = self.ovs.env | dict.fromkeys(("OVN_RUNDIR", "OVN_LOGDIR", "OVN_DBDIR"), directory)
        self._names: list[str] = []
        self._third = ""

    def prepare(self) -> None:
        """Databases, northd, ovn-controller, and everything that is to be known, in one transaction."""
        self.ovs.add_bridge(self.bridge)
        for name in ("nb", "sb"):
            database = self.ovs.run_dir / f"{name}.db"
            run("ovsdb-tool", "create", str(database), str(SCHEMAS / f"ovn-{name}.ovsschema"), env=self.env)
            self._daemon("ovsdb-server", str(database), f"--remote=punix:{self._socket(name)}", name=name)
        ids = {
            "system-id": "bench",
            "ovn-remote": f"unix:{self._socket('sb')}",
            "ovn-encap-type": "geneve",
            "ovn-encap-ip": "127.0.0.1",
        }
        self.ovs.vsctl("set", "Open_vSwitch", ".", *(f'external_ids:{key}="{value}"' for key, value in ids.items()))
        run("ovn-nbctl", f"--db=unix:{self._socket('nb')}", "init", env=self.env)
        self._daemon("ovn-nbctl", f"--db=unix:{self._socket('nb')}", name="nbctl")
        self.start()
        whole = batch(everything(self.work))
        run("ovn-nbctl", f"--db=unix:{self._socket('nb')}", "--timeout=120", *whole, env=self.env, timeout=130)
        # Another client's transaction: the one that stays may not have heard of it yet.
        self._nbctl("wait-until", "Logical_Switch_Port", THIRD, f"name={THIRD}")
        self._third = self._nbctl("get", "Logical_Switch_Port", THIRD, "_uuid").strip()
        # Returns at once while no chassis exists, so the chassis is waited for.
        sb = f"--db=unix:{self._socket('sb')}"
        run("ovn-sbctl", sb, "--timeout=60", "wait-until", "Chassis", "bench", "name=bench", env=self.env, timeout=70)
        try:
            self.confirm()
        except CommandError:
            # Once in a dozen runs the first of all was not answered within a minute; why is not known. Nothing is
            # measured yet, so it is asked once more before OVN is given up.
            self.confirm()

    def wait_all(self) -> None:
        """Every logical port is up, and the chassis has caught up with the northbound database."""
        conditions = [("wait-until", "Logical_Switch_Port", vm.name, "up=true") for vm in self.work.vms]
        database = f"--db=unix:{self._socket('nb')}"
        run("ovn-nbctl", database, "--timeout=120", *batch(conditions), env=self.env, timeout=130)
        self.confirm()

    def confirm(self) -> None:
        """--wait=hv."""
        self._nbctl("--wait=hv", "sync")

    def set_rule(self, present: bool) -> None:
        """The ACLs of the probe rules come, or go."""
        told = allow if present else forbid
        self._change(command for rule in self.work.probe for command in told(rule, self.work.ipv6))

    def set_member(self, present: bool) -> None:
        """*third*'s port enters the port group, or leaves it."""
        self._nbctl("add" if present else "remove", "Port_Group", port_group(PROBERS), "ports", self._third)

    def set_address(self, present: bool) -> None:
        """*third*'s port gets a second address, in port security too, or loses it."""
        vm = self.work.vm(THIRD)
        self._change(addresses(vm, *vm.addresses, *([SECOND_ADDRESS] if present else [])))

    def kill(self) -> None:
        """kill -9 of ovn-controller, the part of OVN on the hypervisor.

        It is told to keep the old flows until it has had time to work out the new ones, as its manual recommends.
        Before that it never is: every cold start would wait as long.
        """
        wait = max(LEAST_WAIT_MS, WAIT_MS_PER_VNIC * len(self.work.vms))
        self.ovs.vsctl("set", "Open_vSwitch", ".", f"external_ids:ovn-ofctrl-wait-before-clear={wait}")
        kill_process(self._pid("ovn-controller"))

    def start(self) -> None:
        """Start what does not run: northd, ovn-controller."""
        remotes = [f"--ovn{name}-db=unix:{self._socket(name)}" for name in ("nb", "sb")]
        if not self._runs("ovn-northd"):
            self._daemon("ovn-northd", *remotes, name="ovn-northd")
        if not self._runs("ovn-controller"):
            self._daemon("ovn-controller", self.ovs.db, name="ovn-controller")

    def forget(self) -> None:
        """Stop northd and ovn-controller and empty the bridge; the databases stay, as they would."""
        for name in ("ovn-controller", "ovn-northd"):
            end_process(self._pid(name), str(self.ovs.run_dir))
        self.ovs.ofctl("del-flows", self.bridge)

    def pids(self) -> list[int]:
        """Both databases, northd and ovn-controller."""
        return [self._pid(name) for name in ("nb", "sb", "ovn-northd", "ovn-controller")]

    def close(self) -> None:
        """End everything that was started, the last first."""
        for name in reversed(self._names):
            if self._runs(name):
                end_process(self._pid(name), str(self.ovs.run_dir))
        super().close()

    def _socket(self, name: str) -> Path:
        return self.ovs.run_dir / f"{name}.sock"

    def _pid(self, name: str) -> int:
        return int((self.ovs.run_dir / f"{name}.pid").read_text())

    def _runs(self, name: str) -> bool:
        # One that was killed leaves its file, and may still be there, without a command line, until it is waited for.
        try:
            return bytes(self.ovs.run_dir) in Path(f"/proc/{self._pid(name)}/cmdline").read_bytes()
        except OSError:
            return False

    def _daemon(self, program: str, *arguments: str, name: str) -> None:
        files = [f"--pidfile={self.ovs.run_dir}/{name}.pid", f"--log-file={self.ovs.run_dir}/{name}.log"]
        files += ["-vconsole:off"]
        if program != "ovn-controller":  # the only one that chooses the name itself (with its process number)
            files.append(f"--unixctl={self.ovs.run_dir}/{name}.ctl")
        if name not in self._names:
            self._names.append(name)
        run(*self.ovs.inside(program, *arguments, *files, "--detach"), env=self.env)

    def _nbctl(self, *words: str) -> str:
        daemon = {"OVN_NB_DAEMON": f"{self.ovs.run_dir}/nbctl.ctl"}
        return run("ovn-nbctl", "--timeout=60", *words, env=self.env | daemon, timeout=PATIENCE + 10)

    def _change(self, commands: Iterable[Command]) -> None:
        self._nbctl(*batch(commands))
