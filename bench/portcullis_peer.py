"""Portcullis in the comparison: its controller as a process, told by policy files and the switch's database."""

from __future__ import annotations

from bench.as_policy import OTHER_LABELS, PROBE_FILE, PROBER_LABELS, files, probe_file
from bench.peer import PATIENCE, Controlled
from bench.workload import SECOND_ADDRESS, THIRD, Vm, Workload
from mininet_scenarios.lab import Lab, exchange_policy
from mininet_scenarios.lab.controller import Status


class Portcullis(Controlled):
    """The project as it is in this checkout."""

    name = "portcullis"

    def __init__(self, lab: Lab, work: Workload) -> None:
        super().__init__(lab, work)
        self.controller = lab.controller(files(work), self.ovs)
        # As OVN's daemons are: in one session with the guests' traffic it would have to share their processor.
        self.controller.own_session = True
        # The policy is a symlink to its newest revision, as docs/operation.md tells operators.
        self._revision = self.controller.policy
        self._revisions = 1
        self.controller.policy = self._revision.with_name("current")
        exchange_policy(self.controller.policy, self._revision)

    def prepare(self) -> None:
        """The controller with the whole policy, and a bridge without vNICs."""
        self.ovs.add_bridge(self.bridge, controller=self.controller.target)
        self.controller.start()
        self.controller.wait_enforced(PATIENCE, settle=False)

    def guest_ids(self, vm: Vm) -> dict[str, str | None]:
        """*third* is in no inventory: the port says what it is and may use."""
        more = {"labels": PROBER_LABELS, "addresses": ",".join(vm.addresses)} if vm.name == THIRD else {}
        return super().guest_ids(vm) | more

    def wait_all(self) -> None:
        """The status page names every vNIC, and all are enforced."""

        def all_there(status: Status) -> bool:
            return sum(vnic["state"] == "enforced" for vnic in status["vnics"]) == len(self.work.vms)

        self.controller.wait_enforced(PATIENCE, all_there, settle=False)

    def confirm(self) -> None:
        """The status page looks at the files at once, and answers when they are in force."""
        self.controller.wait_enforced(PATIENCE, settle=False)

    def set_rule(self, present: bool) -> None:
        """One file is written anew, for a revision that shares the others, and the symlink to it is exchanged."""
        self._revisions += 1
        revision = self._revision.with_name(f"revision-{self._revisions}")
        revision.mkdir()
        for file in self._revision.iterdir():
            if file.name != PROBE_FILE:
                (revision / file.name).hardlink_to(file)
        (revision / PROBE_FILE).write_text(probe_file(self.work, present=present))
        exchange_policy(self.controller.policy, revision)
        self._revision = revision

    def set_member(self, present: bool) -> None:
        """A label at the port changes."""
        self._claim("labels", PROBER_LABELS if present else OTHER_LABELS)

    def set_address(self, present: bool) -> None:
        """The addresses at the port change."""
        first = self.work.vm(THIRD).addresses
        self._claim("addresses", ",".join((*first, SECOND_ADDRESS) if present else first))

    def _claim(self, key: str, value: str) -> None:
        self.third.external_ids[key] = value  # what it says of itself when it is plugged in again
        self.database.set_ids(self.third.port, {key: value})

    def kill(self) -> None:
        """kill -9."""
        self.controller.kill9()

    def start(self) -> None:
        """Start the controller."""
        self.controller.start()

    def forget(self) -> None:
        """Stop the controller and empty the bridge."""
        self.controller.stop()
        self.ovs.ofctl("del-flows", self.bridge)
        self.ovs.ofctl("del-meters", self.bridge)

    def pids(self) -> list[int]:
        """The controller."""
        return [self.controller.pid]
