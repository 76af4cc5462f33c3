"""The command with everything real: it runs the controller, asks it, and explains what is in the switch."""

import json
import os
import subprocess
import sys

import pytest

from mininet_scenarios.lab.controller import free_port, write_policy
from tests.commands.sample import SHOP
from tests.live.private_ovs import PrivateOvs

PORTCULLIS = [sys.executable, "-m", "policy.cli"]
MACS = {"web-1": "52:54:00:00:00:01", "db-1": "52:54:00:00:00:02"}


class Site:
    """A switch with two vNICs, an uplink and a stranger; a policy; a controller started by the command."""

    def __init__(self, ovs, folder):
        self.ovs, self.policy = ovs, folder / "policy"
        self.openflow, self.pages = free_port(), free_port()
        write_policy(self.policy / "shop.yaml", SHOP)
        ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=dummy protocols=OpenFlow10,OpenFlow14")
        for vm, mac in MACS.items():
            ids = f'external_ids:iface-id={vm} external_ids:attached-mac="{mac}"'
            ovs.vsctl(f"add-port br0 tap-{vm} tag=10 -- set interface tap-{vm} type=dummy {ids}")
        for name in ("eth1", "stranger"):
            ovs.vsctl(f"add-port br0 {name} -- set interface {name} type=dummy")
        ovs.vsctl(f"set-controller br0 tcp:127.0.0.1:{self.openflow}")
        words = f"--ovsdb {ovs.remote} --uplink eth* --listen 127.0.0.1:{self.openflow} --status-port {self.pages}"
        self.log = (folder / "log").open("wb")
        command = [*PORTCULLIS, "run", str(self.policy), *words.split()]
        self.controller = subprocess.Popen(command, stdout=self.log, stderr=self.log)

    def stop(self):
        self.controller.terminate()
        self.controller.wait(20)
        self.log.close()

    def ask(self, *words, stdin=None):
        environment = {**os.environ, "PORTCULLIS_URL": f"http://127.0.0.1:{self.pages}"}
        command = [*PORTCULLIS, *words]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=90, env=environment)

    def tool(self, *words):
        environment = {**os.environ, "OVS_RUNDIR": str(self.ovs.folder)}
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with PrivateOvs() as ovs:
        it = Site(ovs, tmp_path_factory.mktemp("site"))
        try:
            done = it.ask("status", "--wait", "60")
            assert done.returncode == 0, done.stdout + done.stderr
            yield it
        finally:
            it.stop()


def test_status_names_every_port(site):
    told = json.loads(site.ask("status", "--json").stdout)
    states = {vnic["port"]: vnic["state"] for vnic in told["vnics"]}
    assert states == {"tap-web-1": "enforced", "tap-db-1": "enforced", "stranger": "isolated", "br0": "isolated"}
    assert told["policy"]["revision"] == json.loads(site.ask("check", site.policy, "--json").stdout)["revision"]


def test_topology(site):
    done = site.ask("topology")
    assert done.returncode == 0
    for word in ("web-1/web-1, MAC 52:54:00:00:00:01, 10.0.0.11", "eth1, uplink", "stranger, isolated"):
        assert word in done.stdout
    assert site.ask("topology", "--dot").stdout.startswith("graph portcullis {")


def test_every_flow_in_the_switch_is_explained(site):
    dump = site.tool("ovs-ofctl", "-O", "OpenFlow14", "dump-flows", "br0")
    assert dump.count("cookie=") > 100
    done = site.ask("explain", site.policy, "--flow", "-", stdin=dump)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("# rule shop/web-db: allow", "# vNIC db-1/db-1 at port tap-db-1 of", "# addresses in group office"):
        assert word in done.stdout
    assert len(json.loads(site.ask("explain", site.policy, "--flow", "-", "--json", stdin=dump).stdout)) == (
        dump.count(" cookie=")
    )


def test_a_trace_names_tables_and_rules(site):
    (control,) = site.ovs.folder.glob("ovs-vswitchd*.ctl")
    port = site.tool("ovs-ofctl", "-O", "OpenFlow14", "show", "br0").partition("(tap-web-1)")[0].split()[-1]
    macs = f"dl_src={MACS['web-1']},dl_dst={MACS['db-1']}"
    packet = f"in_port={port},tcp,{macs},nw_src=10.0.0.11,nw_dst=10.0.0.21,nw_ttl=64"
    trace = site.tool("ovs-appctl", "-t", str(control), "ofproto/trace", "br0", f"{packet},tp_dst=3306")
    done = site.ask("explain", site.policy, "--flow", "-", stdin=trace)
    assert (done.returncode, done.stderr) == (0, "")
    for word in (" CLASSIFY. in_port=", "resubmit(,GUARD)", "EGRESS_APPLICATION. ", "# rule shop/web-db: allow"):
        assert word in done.stdout


def test_verify_agrees_with_the_controller_and_waits_for_a_change_on_its_way(site):
    given = ["--ovsdb", site.ovs.remote, "--uplink", "eth*"]
    done = site.ask("verify", site.policy, *given)
    assert (done.returncode, done.stderr) == (0, "")
    # What somebody changes is put back at once, so it is no difference for long.
    site.tool("ovs-ofctl", "-O", "OpenFlow14", "del-flows", "br0")
    assert site.ask("verify", site.policy, *given, "--wait", "20").returncode == 0


def test_a_refused_policy_is_a_no_and_a_mended_one_a_yes(site):
    before = json.loads(site.ask("status", "--json").stdout)["policy"]["revision"]
    write_policy(site.policy / "shop.yaml", SHOP.replace("to: web}", "to: wbe}"))
    done = site.ask("status", "--wait", "60")
    assert done.returncode == 1
    assert "shop.yaml:16:" in done.stdout
    assert "did you mean 'web'?" in done.stdout
    assert f"revision {before}" in done.stdout
    write_policy(site.policy / "shop.yaml", SHOP.replace("tcp/3306", "tcp/5432"))
    done = site.ask("status", "--wait", "60")
    assert done.returncode == 0, done.stdout
    assert before not in done.stdout
