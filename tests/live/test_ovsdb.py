"""The OVSDB client against a real ovsdb-server and ovs-vswitchd."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from ryu_apps.ovsdb import OvsdbClient
from ryu_apps.ovsdb_facts import OvsdbLock, OvsdbLost, OvsdbSnapshot, OvsdbUpdated, OvsdbWriteFailed
from tests.live.client_process import ADD_TAP1, ROOT, Child, add_bridge, bridge, interface, port
from tests.live.private_ovs import PrivateOvs
from topology.inventory import Inventory
from topology.join import resolve


@pytest.fixture
def ovs():
    with PrivateOvs() as private:
        yield private


@pytest.fixture
def child(ovs):
    with Child(ovs.remote) as running:
        running.wait_for(OvsdbSnapshot)
        yield running


def test_ports_come_change_move_and_go(ovs, child):
    add_bridge(ovs, "br0", "br1")
    ovs.vsctl(ADD_TAP1)
    child.wait_until(lambda db: (row := interface(db, "tap1")) and row.ofport is not None, "ofport of tap1")
    child.wait_until(lambda db: (row := bridge(db, "br0")) and row.datapath_id is not None, "datapath id of br0")
    found = interface(child.database, "tap1")
    assert found.external_ids == {"iface-id": "vm1", "attached-mac": "52:54:00:00:00:01"}
    assert port(child.database, "tap1").tag == 10
    ports = {p.name: p for b in resolve({ovs.remote: child.database}, Inventory()).bridges for p in b.ports}
    assert ports["tap1"].vnic.id == "vm1"
    assert ports["tap1"].ofport == found.ofport

    ovs.vsctl("set port tap1 tag=20 trunks=5,6 vlan_mode=trunk")
    child.wait_until(lambda db: port(db, "tap1").tag == 20, "changed tag")
    assert (port(child.database, "tap1").trunks, port(child.database, "tap1").vlan_mode) == ((5, 6), "trunk")

    uuid = port(child.database, "tap1").uuid
    ovs.vsctl(f"remove bridge br0 ports {uuid} -- add bridge br1 ports {uuid}")
    child.wait_until(lambda db: uuid in bridge(db, "br1").ports and uuid not in bridge(db, "br0").ports, "moved port")

    ovs.vsctl("del-port tap1 -- add-port br1 tap2 -- set interface tap2 type=dummy")
    child.wait_until(lambda db: interface(db, "tap1") is None and interface(db, "tap2"), "renamed port")
    ovs.vsctl("del-br br1")
    child.wait_until(lambda db: interface(db, "tap2") is None and bridge(db, "br1") is None, "bridge gone")
    assert port(child.database, "tap2") is None


def test_a_transaction_arrives_whole(ovs, child):
    add_bridge(ovs, "br0")
    ovs.vsctl(*(f"-- add-port br0 t{n} -- set interface t{n} type=dummy" for n in range(100)))
    fact = child.wait(lambda said: interface(child.database, "t0") is not None, "t0")
    assert isinstance(fact, OvsdbUpdated)
    assert all(interface(child.database, f"t{n}") and port(child.database, f"t{n}") for n in range(100))
    assert len(bridge(child.database, "br0").ports) == 101


# Others get their turn at every moment, as if it was always time for that; whatever they see told by then is whole.
TURNS_OF_OTHERS = """
import sys
from ryu.lib import hub
hub.patch()
from ryu_apps.ovsdb import OvsdbClient
from ryu_apps.turns import Turns
facts, turns, seen = [], [], set()
def other():
    while True:
        seen.update(len(fact.database.interfaces) for fact in facts)
        hub.sleep(0)
def moment(self):
    turns.append(len(facts))
    self.pass_on()
Turns.moment = moment
client = OvsdbClient(sys.argv[1], facts.append)
client.start()
hub.spawn(other)
with hub.Timeout(60):
    while not facts:
        hub.sleep(0.1)
client.stop()
print(turns.count(0), *seen)
"""


def test_others_have_their_turn_while_a_snapshot_is_read_and_see_it_whole(ovs):
    add_bridge(ovs, "br0")
    ovs.vsctl(*(f"-- add-port br0 t{n} -- set interface t{n} type=dummy" for n in range(300)))
    command = [sys.executable, "-W", "ignore", "-c", TURNS_OF_OTHERS, ovs.remote]
    done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=90)
    turns, *seen = done.stdout.split()
    # Each row is parsed, noted and made into a value; there are two for each port.
    assert int(turns) > 3 * 600, done.stdout + done.stderr
    assert seen == ["301"]


def test_what_others_write_for_themselves_is_not_told(ovs, child):
    add_bridge(ovs, "br0")
    ovs.vsctl(ADD_TAP1)
    child.wait_until(lambda db: (row := interface(db, "tap1")) and row.ofport is not None, "ofport of tap1")
    ovs.vsctl("set interface tap1 external_ids:other=changed options:foo=bar")
    ovs.vsctl("set interface tap1 external_ids:role=uplink")
    fact = child.wait_for(OvsdbUpdated)
    assert [change.row.external_ids.get("role") for change in fact.changes] == ["uplink"]


def test_zones_are_written_and_come_back(ovs, child):
    add_bridge(ovs, "br0")
    ovs.vsctl(ADD_TAP1)
    child.wait_until(lambda db: interface(db, "tap1"), "tap1")
    uuid = interface(child.database, "tap1").uuid
    for zone in (4711, 4712):
        child.do("write_zones", {uuid: zone})
        child.wait_until(
            lambda db, zone=zone: interface(db, "tap1").external_ids.get("portcullis-zone") == str(zone), "zone"
        )
    assert "other=theirs" in ovs.vsctl("get interface tap1 external_ids")


def test_learned_addresses_are_written_beside_what_others_have_there(ovs, child):
    add_bridge(ovs, "br0")
    ovs.vsctl(ADD_TAP1)
    child.wait_until(lambda db: interface(db, "tap1"), "tap1")
    uuid = interface(child.database, "tap1").uuid
    child.do("write_zones", {uuid: 4711})
    for stamp in (5, 6):
        text = f"52:54:00:00:00:01 {stamp} 10.0.0.50,dhcp4,5,3605"
        child.do("write_learned", {uuid: text})
        child.wait_until(
            lambda db, text=text: interface(db, "tap1").external_ids.get("portcullis-learned") == text, "text"
        )
    assert interface(child.database, "tap1").external_ids["portcullis-zone"] == "4711"
    assert "other=theirs" in ovs.vsctl("get interface tap1 external_ids")


def test_bridges_are_set(ovs, child):
    add_bridge(ovs, "br0")
    ovs.vsctl('set bridge br0 other_config:hwaddr="02:00:00:00:00:01"')
    child.wait_until(lambda db: bridge(db, "br0"), "br0")
    assert bridge(child.database, "br0").fail_mode is None
    child.do("set_bridge", bridge(child.database, "br0").uuid)
    child.wait_until(lambda db: bridge(db, "br0").fail_mode == "secure", "fail mode")
    assert bridge(child.database, "br0").other_config == {"disable-in-band": "true"}
    assert "hwaddr" in ovs.vsctl("get bridge br0 other_config")


def test_a_write_that_fails_is_told_and_spoils_no_other(ovs, child):
    add_bridge(ovs, "br0")
    ovs.vsctl(ADD_TAP1)
    child.wait_until(lambda db: interface(db, "tap1"), "tap1")
    uuid, nobody = interface(child.database, "tap1").uuid, "00000000-0000-0000-0000-000000000001"
    child.do("write_zones", {uuid: 7, nobody: 8})
    failed = child.wait_for(OvsdbWriteFailed)
    assert nobody in failed.what and "gone" in failed.error
    child.wait_until(lambda db: interface(db, "tap1").external_ids.get("portcullis-zone") == "7", "zone")
    child.do("set_bridge", bridge(child.database, "br0").uuid, "sideways")
    assert "constraint" in child.wait_for(OvsdbWriteFailed).error
    child.do("set_bridge", "no uuid")
    assert child.wait_for(OvsdbWriteFailed)


def test_a_server_that_does_not_answer_blocks_nobody(ovs):
    with Child(ovs.remote, write_timeout=0.5) as child:
        child.wait_for(OvsdbSnapshot)
        add_bridge(ovs, "br0")
        child.wait_until(lambda db: bridge(db, "br0"), "br0")
        ovs.freeze_server()
        child.do("set_bridge", bridge(child.database, "br0").uuid)
        assert "no answer" in child.wait_for(OvsdbWriteFailed).error
        ovs.thaw_server()
        ovs.vsctl("set bridge br0 other_config:disable-in-band=false")
        child.wait_until(lambda db: bridge(db, "br0").other_config == {"disable-in-band": "false"}, "change")


def test_a_restart_of_the_server_is_survived(ovs, child):
    add_bridge(ovs, "br0")
    ovs.vsctl(ADD_TAP1)
    child.wait_until(lambda db: (row := interface(db, "tap1")) and row.ofport is not None, "ofport of tap1")
    before = interface(child.database, "tap1")
    ovs.stop_server()
    lost = child.wait_for(OvsdbLost)
    assert lost == OvsdbLost(ovs.remote, "closed by the server")
    child.do("write_zones", {before.uuid: 9})
    assert child.wait_for(OvsdbWriteFailed).error == "the database is not connected"
    ovs.start_server()
    child.wait_for(OvsdbSnapshot)
    assert interface(child.database, "tap1") == before
    assert sum(isinstance(fact, OvsdbLost) for fact in child.facts) == 1
    child.do("write_zones", {before.uuid: 9})
    child.wait_until(lambda db: interface(db, "tap1").external_ids.get("portcullis-zone") == "9", "zone")


def test_rows_that_went_while_the_connection_was_down_are_not_in_the_snapshot(ovs, child):
    add_bridge(ovs, "br0")
    ovs.vsctl(ADD_TAP1)
    child.wait_until(lambda db: interface(db, "tap1"), "tap1")
    ovs.stop_server()
    child.wait_for(OvsdbLost)
    subprocess.run(
        ["ovsdb-tool", "transact", ovs.folder / "conf.db", '["Open_vSwitch", {"op": "update", "table": "Bridge", '
         '"where": [["name", "==", "br0"]], "row": {"ports": ["set", []]}}]'],
        check=True,
        capture_output=True,
    )  # fmt: skip
    ovs.start_server()
    snapshot = child.wait_for(OvsdbSnapshot)
    assert interface(snapshot.database, "tap1") is None


def test_idle_costs_nothing_and_other_green_threads_run(child):
    before = child.cpu()
    assert child.next(2.0) is None, "a fact came though nothing happened"
    assert child.cpu() - before < 0.05


def test_stop_ends_the_thread_and_leaves_no_descriptor(ovs, child):
    child.do("stop")
    stopped = child.wait(lambda said: isinstance(said, tuple), "stop")
    add_bridge(ovs, "br0")
    assert child.next(0.3) is None
    assert stopped == ("stopped", 0)


def test_the_lock_of_a_frozen_holder_goes_on_where_the_server_probes_it():
    """On a unix socket ovsdb-server does so only if a row of table Manager says it (docs/operation.md)."""
    with PrivateOvs("db:Open_vSwitch,Open_vSwitch,manager_options") as ovs:
        ovs.vsctl(f"set-manager punix:{ovs.folder}/manager.sock")
        row = ovs.vsctl("--bare --columns=_uuid list manager")
        ovs.vsctl(f"set manager {row} inactivity_probe=1000")
        ovs.wait_for((ovs.folder / "manager.sock").exists, "socket")
        remote = f"unix:{ovs.folder}/manager.sock"
        with Child(remote) as first:
            assert first.wait_for(OvsdbSnapshot).ours
            with Child(remote) as second:
                assert not second.wait_for(OvsdbSnapshot).ours
                first.signal(signal.SIGSTOP)
                assert second.wait_for(OvsdbLock).ours
                # The first finds out when it goes on.
                first.signal(signal.SIGCONT)
                assert not first.wait(lambda said: isinstance(said, OvsdbSnapshot), "snapshot").ours


def test_a_server_that_is_not_there_is_told_once_then_found(tmp_path):
    with PrivateOvs() as ovs:
        ovs.stop_server()
        with Child(ovs.remote) as child:
            assert child.wait_for(OvsdbLost).reason == "No such file or directory"
            assert child.next(2.5) is None
            ovs.start_server()
            child.wait_for(OvsdbSnapshot)


def listening_port(ovs, method):
    pattern = re.compile(rf"{method}.*listening on port (\d+)|listening on port (\d+)")
    found = []
    ovs.wait_for(lambda: found.extend(pattern.findall(ovs.log_of_server())) or found, "port in the log")
    return next(filter(None, found[0]))


def test_it_refuses_to_block_the_program():
    with pytest.raises(RuntimeError, match="patch"):
        OvsdbClient("unix:/nowhere", print).start()


@pytest.mark.parametrize("remote", ["", "punix:/x", "tcp:127.0.0.1:1,tcp:127.0.0.1:2", "ssl:127.0.0.1:1"])
def test_remotes_that_cannot_be_used(remote):
    with pytest.raises(ValueError):
        OvsdbClient(remote, print)


def test_tcp():
    with PrivateOvs("ptcp:0:127.0.0.1") as ovs, Child(f"tcp:127.0.0.1:{listening_port(ovs, 'ptcp')}") as child:
        child.wait_for(OvsdbSnapshot)
        add_bridge(ovs, "br0")
        child.wait_until(lambda db: bridge(db, "br0"), "br0")


@pytest.fixture
def keys(tmp_path):
    """Keys and certificates of two authorities: ``right`` has signed server and client, ``wrong`` nobody."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    for name in ("right", "wrong"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                "-out", f"{name}.csr")  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "right.pem", "-CAkey", "right.key", "-CAcreateserial",
                "-days", "2", "-out", f"{name}.pem")  # fmt: skip
    return tmp_path


def tls_server(keys):
    files = f"--private-key={keys}/server.key", f"--certificate={keys}/server.pem", f"--ca-cert={keys}/right.pem"
    return PrivateOvs("pssl:0:127.0.0.1", options=files)


def test_tls(keys):
    with tls_server(keys) as ovs:
        remote = f"ssl:127.0.0.1:{listening_port(ovs, 'pssl')}"
        with Child(remote, tls=(keys / "client.key", keys / "client.pem", keys / "right.pem")) as child:
            child.wait_for(OvsdbSnapshot)
            add_bridge(ovs, "br0")
            ovs.vsctl(*(f"-- add-port br0 t{n} -- set interface t{n} type=dummy" for n in range(200)))
            child.wait_until(lambda db: interface(db, "t199"), "t199")
            child.do("set_bridge", bridge(child.database, "br0").uuid)
            child.wait_until(lambda db: bridge(db, "br0").fail_mode == "secure", "fail mode")
            before = child.cpu()
            child.next(1.5)
            assert child.cpu() - before < 0.05


def test_a_server_of_another_authority_is_not_believed(keys):
    with tls_server(keys) as ovs:
        remote = f"ssl:127.0.0.1:{listening_port(ovs, 'pssl')}"
        with Child(remote, tls=(keys / "client.key", keys / "client.pem", keys / "wrong.pem")) as child:
            assert "certificate" in child.wait_for(OvsdbLost).reason.lower()
            child.cpu()
            assert not child.database.switches


def test_a_server_that_is_no_ovsdb_is_reported():
    listener = subprocess.Popen(
        [sys.executable, "-c", "import socket,time\ns=socket.create_server(('127.0.0.1',0))\n"
         "print(s.getsockname()[1],flush=True)\nc=[s.accept() for _ in range(9)]"],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        with Child(f"tcp:127.0.0.1:{listener.stdout.readline().strip()}") as child:
            assert child.wait_for(OvsdbLost).reason
    finally:
        listener.kill()
        listener.wait()
        listener.stdout.close()
