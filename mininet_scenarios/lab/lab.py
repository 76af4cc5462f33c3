"""The laboratory itself: makes things, remembers them, and takes them away in reverse order, whatever happened."""

import contextlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from mininet_scenarios.lab.controller import Controller, write_policy
from mininet_scenarios.lab.guests import LiveGuest
from mininet_scenarios.lab.names import fresh
from mininet_scenarios.lab.ovs import Ovs
from mininet_scenarios.lab.shell import ip
from mininet_scenarios.lab.way import Way


class Lab:
    """Switches, guests and controllers that belong together."""

    # The laboratories that are open in this process: who reports a failure looks here.
    open_labs: ClassVar[list["Lab"]] = []

    def __init__(self) -> None:
        self._exits = contextlib.ExitStack()
        self._cables = 0
        self._targets: dict[tuple[Controller, Ovs], str] = {}
        self.switches: list[Ovs] = []
        self.controllers: list[Controller] = []
        self.guests: dict[str, LiveGuest] = {}

    def __enter__(self) -> Self:
        self.open_labs.append(self)
        self.directory = Path(tempfile.mkdtemp(prefix=f"{fresh('d')}-"))
        self._exits.callback(shutil.rmtree, self.directory, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open_labs.remove(self)
        self._exits.close()

    def ovs(self, *, dummy: str | None = None, isolated: bool = True) -> Ovs:
        """A private Open vSwitch."""
        ovs = Ovs(dummy=dummy, isolated=isolated)
        self._exits.callback(ovs.stop)
        self.switches.append(ovs)
        return ovs

    def guest(self, ovs: Ovs, bridge: str, name: str, addresses: Sequence[str], **options: Any) -> LiveGuest:  # noqa: ANN401 - LiveGuest's own options
        """A guest, plugged in as a vNIC unless told otherwise."""
        guest = LiveGuest(ovs, bridge, name, addresses, **options)
        self._exits.callback(guest.close)
        self.guests[name] = guest
        return guest

    def outside(self, ovs: Ovs, bridge: str, name: str, addresses: Sequence[str], **options: Any) -> LiveGuest:  # noqa: ANN401 - LiveGuest's own options
        """A host of the outside world, behind an uplink port of its own."""
        return self.guest(ovs, bridge, name, addresses, vnic=False, **options)

    def cable(self, one: Ovs, bridge: str, other: Ovs, other_bridge: str) -> str:
        """The physical network between two hypervisors: an uplink port of this name at both ends."""
        name = self._cable_between(one, other, "phys")
        for ovs, end in ((one, bridge), (other, other_bridge)):
            ovs.vsctl("--", "add-port", end, name, "--", "set", "interface", name, "external_ids:role=uplink")
        return name

    def controller(
        self, policy: str | Mapping[str, str], ovs: Ovs, *others: Ovs, options: Sequence[str] = ()
    ) -> Controller:
        """A controller for one or more switches, with a policy directory of its own; not yet started.

        `policy` is the text of one file, or texts by file name. It lives with the first switch, whose bridges find it
        at `controller.target`; for bridges of the others ask `lab.target(controller, other)`.
        """
        number = len(self.controllers) + 1
        directory = self.directory / f"policy-{number}"
        for name, text in ({"policy.yaml": policy} if isinstance(policy, str) else policy).items():
            write_policy(directory / name, text)

        def settle() -> None:
            for switch in (ovs, *others):
                switch.settle()

        controller = Controller(
            directory,
            [switch.db for switch in (ovs, *others)],
            self.directory / f"controller-{number}.log",
            namespace=ovs.namespace,
            # In a namespace of its own nobody else can reach it, whatever it listens at.
            listen="0.0.0.0" if others else "127.0.0.1",
            options=options,
            settle=settle,
        )
        for other in others:
            self._targets[controller, other] = controller.target_at(self._manage(ovs, other))
        self._exits.callback(controller.stop)
        self.controllers.append(controller)
        return controller

    def way(self, controller: Controller) -> tuple[Way, str]:
        """A way to a controller that can be broken, and the target for bridges that are to take it."""
        way, target = Way.tcp(controller.namespace, controller.openflow_port)
        self._exits.callback(way.close)
        return way, target

    def way_to_database(self, ovs: Ovs) -> tuple[Way, str]:
        """A way to a switch's database that can be broken, and the remote for a controller that is to take it."""
        way, remote = Way.unix(self.directory / f"db-{len(self.controllers)}.sock", ovs.db_socket)
        self._exits.callback(way.close)
        return way, remote

    def target(self, controller: Controller, ovs: Ovs) -> str:
        """Where the bridges of one of a controller's switches find it."""
        return self._targets.get((controller, ovs), controller.target)

    def _manage(self, ovs: Ovs, other: Ovs) -> str:
        """The management network: a cable with an address at each end; returns the address at the first."""
        name = self._cable_between(ovs, other, "mgmt")
        network = f"169.254.{self._cables}"
        ip(f"address add {network}.1/30 dev {name}", inside=ovs.namespace)
        ip(f"address add {network}.2/30 dev {name}", inside=other.namespace)
        return f"{network}.1"

    def _cable_between(self, one: Ovs, other: Ovs, kind: str) -> str:
        self._cables += 1
        name = f"{kind}{self._cables}"
        ip(f"link add {name} type veth peer name {name} netns {other.namespace}", inside=one.namespace)
        for ovs in (one, other):
            ip(f"link set {name} up", inside=ovs.namespace)
        return name

    def report(self) -> str:
        """For the reader of a failure: what the controllers and the switches have to say."""
        reports = [controller.report() for controller in self.controllers]
        return "\n".join(reports + [ovs.report() for ovs in self.switches])

    def keep_files(self) -> str:
        """Copy logs, policies and databases to where they survive the laboratory; say where."""
        kept = Path(tempfile.mkdtemp(prefix="portcullis-failed-"))
        for directory in [self.directory, *(ovs.run_dir for ovs in self.switches)]:
            shutil.copytree(directory, kept / directory.name, ignore=_not_regular)
        return str(kept)


def _not_regular(directory: str, names: list[str]) -> list[str]:
    """Sockets and pid files are no use to a reader."""
    return [name for name in names if not (path := Path(directory, name)).is_dir() and not path.is_file()]
