"""`portcullis verify` against a real switch, with its controller away: what is there, and each thing that is not."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from mininet_scenarios.lab.controller import write_policy
from policy.flows.cookies import Kind, cookie
from policy.flows.tables import TABLES
from tests.commands.sample import SHOP
from tests.live.private_ovs import PrivateOvs
from tests.live.test_commands import PORTCULLIS, Site
from tests.live.test_learning import Place as Learning
from tests.live.test_sub_ports import Place as SubPorts

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
LEARNED, RULES = TABLES["LEARNED"].number, TABLES["INGRESS_APPLICATION"].number
WEB_DB = "rule shop/web-db: allow, tier application, shop.yaml:17"


class Settled(Site):
    """A site whose controller has done its work and is gone: nothing is put back."""

    def verify(self, *words, uplink="eth*", policy=None, ovsdb=None):
        remotes = [] if ovsdb == "" else ["--ovsdb", ovsdb or self.ovs.remote]
        return self.ask("verify", str(policy or self.policy), *remotes, "--uplink", uplink, "--wait", "0", *words)

    def collect(self):
        """What the docs have an auditor collect."""
        (script,) = re.findall(r"^```sh collect\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
        self.tool("sh", "-ec", f"cd {self.policy.parent}\n{script}")
        return self.policy.parent / "hv1.txt"

    def bridge(self, *words, **given):
        """What `--json` says of the bridge: the same by way of what was collected."""
        found = self.answer(*words, **given)
        collected = self.answer("--evidence", str(self.collect()), *words, ovsdb="", **given)
        assert {**collected, "host": None} == {**found, "host": None}
        return found

    def answer(self, *words, **given):
        done = self.verify("--json", *words, **given)
        assert done.stdout, done.stderr
        answer = json.loads(done.stdout)
        (bridge,) = answer["bridges"]
        assert done.returncode == (0 if answer["holds"] else 1)
        assert answer["holds"] is bridge["holds"] is (not bridge["differences"])
        return bridge

    def differences(self, *words, **given):
        return self.bridge(*words, **given)["differences"]

    def ofctl(self, command, *words):
        return self.tool("ovs-ofctl", "-O", "OpenFlow14", *command.split(), "br0", *words)

    def flows(self):
        dump = self.tool("ovs-ofctl", "-O", "OpenFlow14", "--no-stats", "dump-flows", "br0")
        return [line.strip() for line in dump.splitlines() if " actions=" in line]

    def one_of_web_db(self):
        """A flow of the rule web-db, in ovs-ofctl's words: without its actions, and these."""
        why = json.loads(
            self.ask("explain", self.policy, "--flow", "-", "--json", stdin="\n".join(self.flows())).stdout
        )
        number = next(flow["cookie"] for flow in why if flow["rule"] == "web-db")
        found = [line for line in self.flows() if line.startswith(f"cookie={number}, table={RULES},")]
        return found[0].split(" actions=")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with PrivateOvs() as ovs:
        it = Settled(ovs, tmp_path_factory.mktemp("site"))
        try:
            done = it.ask("status", "--wait", "60")
            assert done.returncode == 0, done.stdout + done.stderr
        finally:
            it.stop()
        yield it


@pytest.fixture
def settled(site, tmp_path):
    """The bridge as the controller has left it; whatever a test does is undone."""
    before = tmp_path / "flows"
    before.write_text("\n".join(site.flows()))
    yield site
    site.ofctl("replace-flows", str(before))
    assert site.answer()["holds"]


def test_what_the_controller_has_put_there_is_what_is_wanted(settled):
    done = settled.verify()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("br0 of ") and "holds exactly revision" in done.stdout
    bridge = settled.bridge()
    assert bridge["differences"] == [] and bridge["metered"]
    assert bridge["flows"] == len(settled.flows())
    assert bridge["meters"] == settled.ofctl("dump-meters").count("meter=")
    assert [vnic["vnic"] for vnic in bridge["vnics"]] == ["db-1/db-1", "web-1/web-1"]
    assert {port["port"] for port in bridge["shut"]} == {"br0", "stranger"}


def test_the_examples_in_the_docs(settled):
    section = DOCS.read_text().split("\n## verify\n")[1]
    examples = re.findall(r"^```text\n\$ (.*)\n((?:.*\n)*?)^```", section, re.MULTILINE)
    assert [command for command, _ in examples] == ["portcullis verify /etc/portcullis --uplink eth1"] * 2
    held, tampered = (printed for _, printed in examples)
    assert plain(settled.verify().stdout) == plain(held)
    head, actions = settled.one_of_web_db()
    settled.ofctl("add-flow", f"{re.sub('reg5=[^,]*,', '', head)} actions={actions}")
    settled.ofctl("--strict del-flows", re.sub(r"^cookie=\w+, ", "", head))
    settled.ofctl("add-flow", "table=0,priority=65535,in_port=tap-web-1,actions=NORMAL")
    assert plain(settled.verify().stdout) == plain(tampered)
    keys = {*settled.bridge(), *settled.differences()[0], *json.loads(settled.verify("--json").stdout)}
    assert {key for key in keys if f"`{key}`" not in section} == set()


def plain(printed):
    """Without what depends on the machine, or on how flows are written today."""
    return re.sub(r"\d+ flows, \d+ meters|of \S+:|in_port=\d+", "", printed)


def test_a_missing_flow_of_a_rule(settled):
    head, _ = settled.one_of_web_db()
    settled.ofctl("--strict del-flows", re.sub(r"^cookie=\w+, ", "", head))
    (found,) = settled.differences()
    assert (found["kind"], found["what"], found["found"]) == ("missing", "flow", None)
    assert (found["rule"], found["file"], found["line"]) == ("shop/web-db", "shop.yaml", 17)
    told = settled.verify().stdout
    assert "1 difference from revision" in told and f"why    {WEB_DB}" in told


def test_an_altered_flow(settled):
    head, actions = settled.one_of_web_db()
    settled.ofctl("add-flow", f"{head} actions=drop")
    (found,) = settled.differences()
    assert (found["kind"], found["rule"], found["found"]) == ("altered", "shop/web-db", "drop")
    # The same for a time only, or with another reason, is not the same.
    settled.ofctl("add-flow", f"{head},idle_timeout=3000 actions={actions}")
    assert [each["kind"] for each in settled.differences()] == ["altered"]
    settled.ofctl("add-flow", re.sub(r"^cookie=\w+", "cookie=0x1", f"{head} actions={actions}"))
    (found,) = settled.differences()
    assert found["kind"] == "altered" and found["found"].endswith("(cookie 0x1)")
    # At another priority, though the order of rules stays as it was.
    settled.ofctl("add-flow", f"{head} actions={actions}")
    settled.ofctl("add-flow", f"{head},priority=3 actions={actions}")
    assert [each["kind"] for each in settled.differences()] == ["foreign"]


@pytest.mark.parametrize(
    "flow",
    [
        "table=0,priority=65535,cookie=0x1,actions=NORMAL",
        f"table={RULES},priority=65535,ip,actions=drop",
        # Whoever knows the cookies of what switches learn, and of the pipeline.
        f"table={LEARNED},priority=100,cookie={cookie(Kind.LEARNED):#x},dl_dst=52:54:00:00:00:01,actions=NORMAL",
        f"table={LEARNED},priority=100,cookie={cookie(Kind.LEARNED):#x},actions=drop",
        f"table=0,priority=65535,cookie={cookie(Kind.PIPELINE):#x},in_port=1,actions=resubmit(,1)",
        f"table=0,priority=65535,cookie={cookie(Kind.PIPELINE):#x},in_port=1,actions=resubmit(,65)",
    ],
)
def test_a_foreign_flow(settled, flow):
    settled.ofctl("add-flow", flow)
    (found,) = settled.differences()
    assert (found["kind"], found["what"], found["wanted"]) == ("foreign", "flow", None)
    table = flow.split(",")[0].removeprefix("table=")
    settled.ofctl("--strict del-flows", re.sub(r"cookie=\w+,?|,?actions=.*", "", flow))
    assert found["where"].split()[0] == next(name for name, each in TABLES.items() if each.number == int(table))


def test_flows_that_no_packet_reaches_are_no_difference_and_are_told(settled):
    settled.ofctl("add-flow", "table=200,actions=NORMAL")
    bridge = settled.bridge()
    assert (bridge["holds"], bridge["elsewhere"]) == (True, 1)
    assert "1 flow out of reach of any packet" in settled.verify().stdout


def test_a_way_into_another_slot_is_a_difference(settled):
    (head, actions), *_ = (
        line.split(" actions=") for line in settled.flows() if "in_port=" in line and "resubmit(,1)" in line
    )
    settled.ofctl("add-flow", f"{head} actions={actions.replace('resubmit(,1)', 'resubmit(,65)')}")
    assert [each["kind"] for each in settled.differences()] == ["altered"]


def test_meters(settled):
    number = settled.ofctl("dump-meters").split("meter=")[1].split()[0]
    was = settled.ofctl("dump-meter", f"meter={number}").split("meter=")[1]
    rate, burst = re.search(r"rate=(\d+)\s+burst_size=(\d+)", was).groups()
    settled.ofctl("mod-meter", f"meter={number},pktps,burst,stats,band=type=drop,rate=1000000,burst_size={burst}")
    settled.ofctl("add-meter", "meter=200000,kbps,band=type=drop,rate=1")
    foreign, altered = settled.differences()
    assert (altered["kind"], altered["what"]) == ("altered", "meter") and "1000000 packets" in altered["found"]
    assert (foreign["kind"], foreign["found"]) == ("foreign", "none of ours")
    settled.ofctl("del-meter", "meter=200000")
    settled.ofctl("mod-meter", f"meter={number},pktps,burst,stats,band=type=drop,rate={rate},burst_size={burst}")


def test_what_the_switch_has_learned_is_none_of_it(settled):
    (control,) = settled.ovs.folder.glob("ovs-vswitchd*.ctl")
    frame = "52540000000152540000aa01" + "8100000a" + "0800" + "45000014000100004006000001020304" + "0a00000b"
    settled.tool("ovs-appctl", "-t", str(control), "netdev-dummy/receive", "eth1", frame + "00" * 30)
    settled.ovs.wait_for(lambda: settled.answer()["learned"] == 1, "a learned MAC")
    assert settled.bridge()["holds"]


def test_another_policy_or_other_settings_is_another_answer(settled, tmp_path):
    write_policy(tmp_path / "other" / "shop.yaml", SHOP.replace("tcp/3306", "tcp/5432"))
    found = settled.differences(policy=tmp_path / "other")
    assert {each["rule"] for each in found} == {"shop/web-db"}
    assert settled.differences(uplink="none*") and settled.differences("--audit")
    assert settled.differences("--learn", "none")


def test_the_bridge_must_stay_shut_without_a_controller(settled):
    settled.ovs.vsctl("set bridge br0 other_config:disable-in-band=false")
    (found,) = settled.differences()
    assert (found["what"], found["where"]) == ("setting", "other_config:disable-in-band")
    settled.ovs.vsctl("set bridge br0 other_config:disable-in-band=true")


def test_a_port_that_the_controller_has_not_seen(settled):
    ids = "external_ids:iface-id=web-2 external_ids:vm-name=web-2 external_ids:attached-mac=52\\:54\\:00\\:00\\:00\\:07"
    settled.ovs.vsctl(f"add-port br0 tap-new tag=10 -- set interface tap-new type=dummy {ids}")
    try:
        bridge = settled.bridge()
        assert "tap-new" in {port["port"] for port in bridge["shut"]}
    finally:
        settled.ovs.vsctl("del-port br0 tap-new")


def test_what_cannot_be_read_is_no_answer(settled, tmp_path):
    for given in (
        {"ovsdb": f"unix:{tmp_path}/db.sock"},
        {"ovsdb": "tcp:127.0.0.1:1"},
        {"ovsdb": "ssl:127.0.0.1:1"},
    ):
        done = settled.verify(**given)
        assert (done.returncode, done.stdout) == (2, "") and "OVSDB" in done.stderr
    done = settled.verify("--bridge", "br7")
    assert (done.returncode, done.stdout) == (2, "") and "br7" in done.stderr
    write_policy(tmp_path / "bad" / "shop.yaml", SHOP.replace("to: web}", "to: wbe}"))
    assert settled.verify(policy=tmp_path / "bad").returncode == 2
    settled.ovs.vsctl("set bridge br0 protocols=OpenFlow13")
    try:
        done = settled.verify()
        assert (done.returncode, done.stdout) == (2, "") and "OpenFlow" in done.stderr
    finally:
        settled.ovs.vsctl("set bridge br0 protocols=OpenFlow10,OpenFlow14")
        settled.ovs.wait_for(lambda: settled.verify().returncode == 0, "OpenFlow 1.4")


def holds(place, *words):
    """What the controller of a laboratory has put onto its bridges is just what is wanted there."""
    given = ["--ovsdb", place.ovs.db, "--json", *words]
    done = subprocess.run(
        [*PORTCULLIS, "verify", str(place.controller.policy), *given], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {bridge["name"]: bridge for bridge in json.loads(done.stdout)["bridges"]}


def test_trunks_and_their_sub_ports(lab):
    bridge = holds(SubPorts(lab), "--bridge", "br0")["br0"]
    assert {vnic["port"] for vnic in bridge["vnics"]} == {"app", "app.30", "app.31", "near", "far"}


def test_addresses_that_were_learned_on_two_bridges(lab):
    place = Learning(lab, "dhcp", "first-use")
    with place.server, place.client(place.web) as client:
        place.wait_learned("web", dhcp4=client.get(4))
        place.controller.wait_enforced()
        assert {*holds(place, "--learn", "dhcp", "--learn", "first-use")} == {"br0", "br1"}
        # What was learned is not to be used where nothing is to be learned.
        given = ["--ovsdb", place.ovs.db, "--learn", "none", "--wait", "0"]
        command = [*PORTCULLIS, "verify", str(place.controller.policy), *given]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1 and "10.0.0.50" in done.stdout
