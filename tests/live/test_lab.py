"""The laboratory: switches side by side, guests that come and go, controllers that die, and nothing left behind."""

import os
import subprocess
import sys
import textwrap

import pytest

from mininet_scenarios.guest import ROOT
from mininet_scenarios.lab import Controller, Lab, LiveGuest, MissingTools, leftovers, names, shell
from mininet_scenarios.lab.controller import ControllerError
from mininet_scenarios.words import blocked, reaches


def test_two_switches_side_by_side_know_nothing_of_each_other(lab):
    guests = []
    for _ in range(2):
        ovs = lab.ovs()
        bridge = ovs.add_bridge()
        ovs.normal(bridge)
        guests.append(lab.guest(ovs, bridge, "web", ["10.0.0.11/24"]))
        guests.append(lab.guest(ovs, bridge, "db", ["10.0.0.21/24"]))
    web, db, other_web, other_db = guests
    reaches(web, db, "tcp/80")
    reaches(other_web, other_db, "tcp/80")
    db.unplug()
    blocked(web, db, "tcp/80", watch=0.3)
    reaches(other_web, other_db, "tcp/80")


def test_a_guest_is_a_vnic_and_can_be_pulled_out_and_put_back(lab):
    ovs = lab.ovs()
    bridge = ovs.add_bridge()
    ovs.normal(bridge)
    web = lab.guest(ovs, bridge, "web", ["10.0.0.11/24"], tag=7, external_ids={"tenant": "acme", "vm-id": None})
    outside = lab.outside(ovs, bridge, "outside", ["10.0.0.1/24"])
    assert external_ids(web) == {
        "iface-id": "web",
        "attached-mac": web.mac,
        "iface-status": "active",
        "tenant": "acme",
    }
    assert external_ids(outside) == {"role": "uplink"}
    assert ovs.find("Port", f"name={web.port}")[0]["tag"] == 7
    first = web.ofport
    web.set_ids(iface_status="inactive", tenant=None)
    assert external_ids(web) == {"iface-id": "web", "attached-mac": web.mac, "iface-status": "inactive"}
    web.unplug()
    assert not ovs.find("Interface", f"name={web.port}")
    web.plug()
    assert web.ofport != first


def external_ids(guest: LiveGuest) -> dict[str, str]:
    (row,) = guest.ovs.find("Interface", f"name={guest.port}")
    return dict(row["external_ids"][1])


def test_two_hypervisors_and_the_network_between_them(lab):
    here, there = lab.ovs(), lab.ovs()
    controller = lab.controller("version: 1\n", here, there)
    bridges = {ovs: ovs.add_bridge(controller=lab.target(controller, ovs)) for ovs in (here, there)}
    assert lab.target(controller, here) == controller.target != lab.target(controller, there)
    lab.cable(here, bridges[here], there, bridges[there])
    for ovs, bridge in bridges.items():
        ovs.normal(bridge)
    web = lab.guest(here, bridges[here], "web", ["10.0.0.11/24", "2001:db8::11/64"])
    db = lab.guest(there, bridges[there], "db", ["10.0.0.21/24", "2001:db8::21/64"])
    reaches(web, db, "tcp/80")
    listener = LISTEN.format(port=controller.openflow_port)
    # The other hypervisor's switch really does get through to where the controller would be.
    shell.run(*here.inside(sys.executable, "-c", listener), timeout=20)


# Listens where a controller would, until two switches have said hello (OpenFlow messages begin with a version and 0).
LISTEN = """
import socket
server = socket.create_server(("0.0.0.0", {port}))
seen = set()
while len(seen) < 2:
    caller, address = server.accept()
    assert caller.recv(2)[1] == 0
    seen.add(address[0])
"""


def test_dummy_ports_need_no_devices(lab):
    ovs = lab.ovs(dummy="ports")
    bridge = ovs.add_bridge()
    ovs.vsctl("add-port", bridge, "ghost", "--", "set", "interface", "ghost", "type=dummy")
    ovs.ofctl("add-flow", bridge, "icmp,actions=drop")
    assert ovs.ofport("ghost") > 0
    assert "Datapath actions: drop" in ovs.trace(bridge, "in_port=ghost,icmp")
    assert ovs.flows(bridge) == ["icmp actions=drop"]
    assert ovs.conntrack() == []


def test_everything_can_be_dummy(lab):
    ovs = lab.ovs(dummy="override")
    bridge = ovs.add_bridge()
    ovs.vsctl("add-port", bridge, "ghost")
    assert ovs.ofport("ghost") > 0


class PretendedController(Controller):
    """A controller whose place is taken by a few lines of Python."""

    program = ""

    def command(self) -> list[str]:
        return [sys.executable, "-c", textwrap.dedent(self.program), str(self.rest_port)]


class SlowController(PretendedController):
    program = """
        import http.server, json, sys
        class Page(http.server.BaseHTTPRequestHandler):
            asked = 0
            def do_GET(self):
                Page.asked += 1
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"enforced": Page.asked > 2, "revision": Page.asked}).encode())
        http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
    """


class DyingController(PretendedController):
    program = "raise SystemExit('no such policy')"


@pytest.mark.parametrize("isolated", [True, False])
def test_wait_enforced_waits_until_it_is(lab, isolated):
    namespace = lab.ovs().namespace if isolated else None
    controller = SlowController(lab.directory, ["unix:none"], lab.directory / "slow.log", namespace=namespace)
    try:
        controller.start()
        assert controller.wait_enforced()["revision"] == 3
        assert controller.wait_enforced(until=lambda status: status["revision"] > 5)["revision"] == 6
        controller.kill9()
        controller.start()
        assert controller.wait_enforced()["revision"] == 3
        with pytest.raises(ControllerError, match=r"not enforced in 0\.3 s; the last status: .*revision"):
            controller.wait_enforced(0.3, until=lambda status: False)
    finally:
        controller.stop()


def test_a_controller_that_dies_is_reported_with_its_last_words(lab):
    controller = DyingController(lab.directory, ["unix:none"], lab.directory / "dying.log")
    controller.start()
    with pytest.raises(ControllerError, match=r"ended with status 1\n(.*\n)*no such policy"):
        controller.wait_enforced()
    controller.stop()


def test_a_failed_start_leaves_nothing_behind(clean_machine):
    with Lab() as lab:
        ovs = lab.ovs()
        before = leftovers.of_this_process()
        with pytest.raises(shell.CommandError):
            lab.guest(ovs, "no-such-bridge", "web", ["10.0.0.11/24"])
        assert leftovers.of_this_process() == before
    assert leftovers.of_this_process() == []


def test_what_a_killed_process_leaves_is_found_and_swept(clean_machine):
    program = """
        import os
        from mininet_scenarios.lab import Lab
        lab = Lab().__enter__()
        ovs = lab.ovs()
        guest = lab.guest(ovs, ovs.add_bridge(), "web", ["10.0.0.11/24"])
        guest.ask("tcp.serve", port=80)
        os._exit(7)
    """
    dead = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT)
    assert dead.wait(30) == 7
    mine = [thing for thing in leftovers.of_dead_processes() if thing.maker == dead.pid]
    assert {thing.kind for thing in mine} == {"process", "namespace", "directory"}
    leftovers.sweep()
    assert not [thing for thing in leftovers.everything() if thing.maker == dead.pid]


def test_a_missing_tool_is_an_error_that_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingTools, match=r"ovs-vswitchd.*make setup.*apt-get install .*openvswitch-switch"):
        shell.check_tools()


def test_names_fit_devices_and_tell_their_maker():
    name = names.fresh("v")
    assert len(name) <= 15
    assert names.maker_of(name) == names.maker_of(f"{name}-web") == os.getpid()
    assert names.maker_of("eth0") is None
    assert len(names.mark(4194304) + "v123456") <= 15
