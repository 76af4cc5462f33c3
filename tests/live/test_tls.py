"""docs/operation.md, "TLS": its very commands and settings, with a controller and a switch that know each other.

The page's machines are all this one: `controller.example` and `hv1.example` become 127.0.0.1, the folder of keys is the
test's, and ports are free ones. ovsdb-server gets the options that OVS's own start script gives it.
"""

import json
import re
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from mininet_scenarios.lab.controller import free_port, write_policy
from tests.commands.sample import SHOP
from tests.live.private_ovs import PrivateOvs

PAGE = (Path(__file__).parents[2] / "docs" / "operation.md").read_text()
BLOCKS = dict(re.findall(r"^```(?:sh|ini) (tls-\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
# As /usr/share/openvswitch/scripts/ovs-ctl starts it.
AS_A_SERVICE = (
    "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
    "--private-key=db:Open_vSwitch,SSL,private_key",
    "--certificate=db:Open_vSwitch,SSL,certificate",
    "--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert",
)


class Site:
    """The page's two machines."""

    def __init__(self, ovs, folder):
        self.ovs, self.folder = ovs, folder
        self.openflow, self.database, self.pages = free_port(), free_port(), free_port()
        write_policy(folder / "policy" / "shop.yaml", SHOP)
        (folder / "keys").mkdir()

    def block(self, name):
        """A block of the page with what is otherwise here."""
        text = BLOCKS[name]
        for there, here in (
            ("/etc/portcullis/keys", f"{self.folder}/keys"),
            ("/etc/openvswitch", f"{self.folder}/keys"),
            ("/etc/portcullis/tls.conf", f"{self.folder}/tls.conf"),
            ("/etc/portcullis/policy", f"{self.folder}/policy"),
            ("controller.example", "127.0.0.1"),
            ("hv1.example", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("6653", str(self.openflow)),
            ("6640", str(self.database)),
        ):
            text = text.replace(there, here)
        return text

    def shell(self, name):
        # The switch of this test, as if it were the machine's.
        done = subprocess.run(
            ["bash", "-ec", self.block(name)], env=self.ovs._environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self):
        """The controller, by the page's command."""
        (self.folder / "tls.conf").write_text(self.block("tls-settings"))
        words = self.block("tls-run").split()
        assert words[:2] == ["portcullis", "run"]
        command = [sys.executable, "-m", "policy.cli", *words[1:], "--status-port", str(self.pages)]
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def status(self, wait=0):
        url = f"http://127.0.0.1:{self.pages}/portcullis/status?wait={wait}"
        with urllib.request.urlopen(url, timeout=wait + 10) as answer:
            return json.load(answer)

    def wait_for(self, condition):
        deadline = time.monotonic() + 60
        while True:
            try:
                found = self.status(wait=2)
                if condition(found):
                    return found
            except OSError:
                time.sleep(0.1)
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-3000:]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with PrivateOvs(options=AS_A_SERVICE) as ovs:
        it = Site(ovs, tmp_path_factory.mktemp("tls"))
        ovs.vsctl("add-br br0 -- set bridge br0 datapath_type=dummy")
        ids = 'external_ids:iface-id=web-1 external_ids:attached-mac="52:54:00:00:00:01"'
        ovs.vsctl(f"add-port br0 tap1 tag=10 -- set interface tap1 type=dummy {ids}")
        it.shell("tls-keys")
        it.shell("tls-switch")
        process = it.run()
        try:
            yield it
        finally:
            process.terminate()
            process.wait(20)


def test_the_bridge_is_enforced_over_tls_alone(site):
    status = site.wait_for(lambda told: told["enforced"] and told["bridges"])
    assert [bridge["connected"] for bridge in status["bridges"]] == [True]
    assert [vnic["state"] for vnic in status["vnics"] if vnic["port"] == "tap1"] == ["enforced"]
    assert [(one["remote"][:4], one["connected"]) for one in status["ovsdb"]] == [("ssl:", True)]
    assert site.ovs.vsctl("get-controller br0").startswith("ssl:")


def hears(site, *keys):
    """What whoever connects to the OpenFlow port gets to hear: its first bytes; none if it is sent away."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if keys:
        context.load_cert_chain(*keys)
    try:
        with (
            socket.create_connection(("127.0.0.1", site.openflow), timeout=10) as line,
            context.wrap_socket(line) as secure,
        ):
            return secure.recv(8)
    except (ssl.SSLError, ConnectionError):
        return b""


def test_nobody_else_gets_a_word(site):
    site.wait_for(lambda told: told["enforced"] and told["bridges"])
    keys = site.folder / "keys"
    own = keys / "hv1-cert.pem", keys / "hv1-privkey.pem"
    assert hears(site, *own)[1:2] == b"\0", "with the switch's keys OpenFlow's hello comes"
    assert hears(site) == b""
    # A controller's certificate is no switch's.
    assert hears(site, keys / "controller-cert.pem", keys / "controller-privkey.pem") == b""
    with socket.create_connection(("127.0.0.1", site.openflow), timeout=10) as line:
        line.sendall(b"\x05\x00\x00\x08\x00\x00\x00\x01")  # OpenFlow in the clear
        line.settimeout(5)
        try:
            heard = line.recv(8)
        except OSError:
            heard = b""
        assert heard[:1] != b"\x05"
    assert site.status()["enforced"]
