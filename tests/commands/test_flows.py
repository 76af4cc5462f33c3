"""`portcullis explain` about flows: cookies, lines of dumps, traces."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.commands.flow_lines import MAX_LINE, read_line
from policy.commands.reasons import DROPS, Reasons
from policy.flows.bridge_book import bridge_flows
from policy.flows.compile import prepare
from policy.flows.cookies import LAYOUT, Builtin, Drop, Kind, cookie
from policy.flows.rules import numbered
from policy.flows.tables import TABLES
from policy.load import load_texts
from tests.commands.conftest import portcullis
from tests.commands.sample import document, engine, live, refused_page
from topology.vnic import offline_vnics

NUMBERS = {entry.name: entry.number for entry in numbered(document())}
WEB_DB = cookie(Kind.RULE, NUMBERS["shop/web-db"])
TIER, ALLOWED, GUARD, LEARNED = (
    TABLES[name].number for name in ("EGRESS_APPLICATION", "ALLOWED", "GUARD", "LEARNED")
)


def why(number, *, of=None, alive=None):
    return Reasons(of or document(), lambda: alive).why(number)


def test_every_flow_of_a_bridge_is_explained():
    it = engine()
    (bridge,) = it.topology.bridges
    reasons = Reasons(document(), live)
    found = {reasons.why(flow.cookie) for flow in bridge_flows(it.compiled, bridge, {}).values()}
    assert [each.text for each in found if not each.explained] == []
    assert {each.kind for each in found} >= {Kind.RULE, Kind.VNIC, Kind.IDENTITY, Kind.UPLINK, Kind.ISOLATED, Kind.DROP}


def test_a_rule():
    told = why(WEB_DB).json()
    assert (told["verdict"], told["tier"], told["policy"], told["rule"]) == ("allow", "application", "shop", "web-db")
    assert (told["file"], told["line"], told["tenant"]) == ("shop.yaml", 17, None)


def test_a_rule_that_is_not_there():
    told = why(cookie(Kind.RULE, 5))
    assert (told.ours, told.explained, told.kind) == (True, False, Kind.RULE)


@pytest.mark.parametrize("number", [0, 1, 2**64 - 1, WEB_DB & ~(0xFFFF << 48)])
def test_foreign_cookies_are_not_ours(number):
    told = why(number)
    assert (told.ours, told.explained, told.kind) == (False, False, None)
    assert "not ours" in told.text


@pytest.mark.parametrize("number", [WEB_DB ^ (LAYOUT ^ 77) << 40, cookie(Kind.DROP, 250), cookie(Kind.BUILTIN, 0)])
def test_other_versions(number):
    told = why(number)
    assert (told.ours, told.explained, told.kind) == (True, False, None)


def test_names():
    assert why(cookie(Kind.DEFAULT, 0)).name == "egress"
    assert why(cookie(Kind.DEFAULT, 1)).name == "ingress"
    assert {why(cookie(Kind.BUILTIN, each)).name for each in Builtin} == {each.label for each in Builtin}
    assert {why(cookie(Kind.DROP, each)).name for each in Drop} == {each.label for each in Drop}
    assert "network prod, VLAN 10" in why(cookie(Kind.NETWORK, 10)).text


def test_every_drop_has_words():
    assert set(DROPS) == set(Drop)


def test_identities_are_groups():
    identities = prepare(document(), offline_vnics(document().inventory)).identities
    told = {why(cookie(Kind.IDENTITY, number)).groups for number in identities.members}
    assert told >= {(), ("web",), ("db",), ("office",)}


def test_an_inline_group_has_a_place():
    text = b"version: 1\npolicies: [{name: p, rules: [{allow: tcp,\n  from: {cidrs: 10.0.0.0/8}}]}]\n"
    policy = load_texts({"p.yaml": text})
    (number,) = prepare(policy, ()).identities.members.keys() - {0}
    assert why(cookie(Kind.IDENTITY, number), of=policy).groups == ("p.yaml:3",)


def test_identities_that_only_the_controller_knows():
    # What a selector says of a bridge is not known to files.
    text = b"version: 1\npolicies: [{name: p, rules: [{allow: tcp, from: {match: 'vnic.bridge == br0'}}]}]\n"
    policy = load_texts({"p.yaml": text})
    (number,) = prepare(policy, [each.vnic for each in live()]).identities.members.keys() - {0}
    mark = cookie(Kind.IDENTITY, number)
    assert not why(mark, of=policy).explained
    assert "none answers" in why(mark, of=policy).text
    assert why(mark, of=policy, alive=live()).groups == ("p.yaml:2",)


def test_a_vnic_has_a_name_where_a_controller_answers(shop, controller):
    result = portcullis("explain", "shop.yaml", "--cookie", hex(cookie(Kind.VNIC, 101)))
    assert result.exit_code == 0
    assert "vNIC web-1/web-1 at port tap1 of bridge br0" in result.stdout
    result = portcullis("explain", "shop.yaml", "--cookie", hex(cookie(Kind.VNIC, 7)))
    assert result.exit_code == 1
    assert controller.asked == ["/portcullis/status"] * 2


def test_a_vnic_has_a_zone_where_none_answers(shop, nobody):
    result = portcullis("explain", "shop.yaml", "--cookie", hex(cookie(Kind.VNIC, 101)), "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["kind"], told["vnics"]) == ("vnic", None)
    assert "zone 101" in told["text"]


def test_two_hosts_may_have_one_zone():
    (first, second) = live()
    both = (first, type(second)(second.vnic, first.zone, "br1", second.port))
    assert why(cookie(Kind.VNIC, 101), alive=both).vnics == ("web-1/web-1", "db-1/db-1")


def test_the_controller_is_asked_only_about_what_files_cannot_tell(shop, controller):
    controller.pages["/portcullis/status"] = refused_page()
    assert portcullis("explain", "shop.yaml", "--cookie", hex(WEB_DB)).exit_code == 0
    assert controller.asked == []


@pytest.mark.parametrize("answer", [(500, b""), (200, b"<html>"), {"vnics": [{"zone": "x"}, 5, {"vnic": []}]}, {}])
def test_a_controller_that_talks_nonsense_does_no_harm(shop, controller, answer):
    controller.pages["/portcullis/status"] = answer
    result = portcullis("explain", "shop.yaml", "--cookie", hex(cookie(Kind.VNIC, 101)))
    assert "zone 101" in result.stdout


# The same by a program of another layout.
OLDER = WEB_DB - (1 << 40)

DUMP = f"""\
OFPST_FLOW reply (OF1.4) (xid=0x2):
 cookie={WEB_DB:#x}, duration=1s, table={TIER}, n_packets=0, priority=9,ip actions=resubmit(,{ALLOWED})
 cookie={cookie(Kind.PIPELINE):#x}, table={GUARD}, actions=learn(table={LEARNED},cookie=5),ct(commit,table={TIER})
"""


def test_a_dump_is_read_from_standard_input(shop, nobody):
    result = portcullis("explain", "shop.yaml", "--flow", "-", stdin=DUMP)
    assert result.exit_code == 0
    first, flow, rule, other, _ = result.stdout.splitlines()
    assert first == DUMP.splitlines()[0]
    assert "table=EGRESS_APPLICATION" in flow
    assert flow.endswith("actions=resubmit(,ALLOWED)")
    assert rule.strip() == "# rule shop/web-db: allow, tier application, shop.yaml:17"
    assert "table=GUARD" in other
    assert other.endswith("learn(table=LEARNED,cookie=5),ct(commit,table=EGRESS_APPLICATION)")


def test_a_dump_as_json(shop, nobody):
    result = portcullis("explain", "shop.yaml", "--flow", "-", "--json", stdin=DUMP)
    told = json.loads(result.stdout)
    assert [(each["kind"], each["table"]) for each in told] == [("rule", "EGRESS_APPLICATION"), ("pipeline", "GUARD")]


def test_an_empty_line_is_most_likely_a_pipe_that_found_nothing(shop):
    for nothing in ("", " \n"):
        result = portcullis("explain", "shop.yaml", "--flow", nothing)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "nothing in it" in result.stderr and "--flow -" in result.stderr
    assert "nothing in it" not in portcullis("explain", "shop.yaml", "--flow", "x").stderr


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_one_flow_that_is_not_ours_is_a_no(shop, option):
    stdin = DUMP + " priority=0 actions=NORMAL\n"
    result = portcullis("explain", "shop.yaml", "--flow", "-", *option, stdin=stdin)
    assert result.exit_code == 1
    assert "not ours" in result.stdout


@pytest.mark.parametrize("stdin", ["", "ovs-ofctl: br0 is not a bridge or a socket\n"])
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_dump_without_any_flow_proves_nothing(shop, stdin, option):
    result = portcullis("explain", "shop.yaml", "--flow", "-", *option, stdin=stdin)
    assert result.exit_code == 2
    assert result.stdout == ("[]\n" if option else stdin)
    assert "no flow came on standard input" in result.stderr


@pytest.mark.parametrize(
    ("line", "number", "table", "text"),
    [
        (f"cookie={WEB_DB:#x}, table={TIER}, actions=drop", WEB_DB, "EGRESS_APPLICATION", None),
        (f"cookie={WEB_DB:#x}, table=ALLOWED, actions=drop", WEB_DB, "ALLOWED", None),
        (f" cookie={WEB_DB:#x}, priority=5,ip actions=drop", WEB_DB, "CLASSIFY", None),  # --no-stats: table 0
        (f" cookie={WEB_DB:#x}, table=254, actions=goto_table:{TIER}", WEB_DB, None, "goto_table:EGRESS_APPLICATION"),
        (f"    {TIER}. ip, priority 7, cookie {WEB_DB:#x}", WEB_DB, "EGRESS_APPLICATION", "    EGRESS_APPLICATION. ip"),
        (f"    resubmit(,{GUARD})", None, None, "    resubmit(,GUARD)"),
        (f"    resubmit(5,{GUARD},ct)", None, None, "resubmit(5,GUARD,ct)"),
        (f"cookie={WEB_DB:#x}, table={64 + TIER}, actions=drop", WEB_DB, "EGRESS_APPLICATION", "_APPLICATION@1,"),
        (f"cookie={WEB_DB:#x}, actions=resubmit(,{128 + GUARD})", WEB_DB, "CLASSIFY", "resubmit(,GUARD@2)"),
        (f"    {192 + TIER}. ip, cookie {WEB_DB:#x}", WEB_DB, "EGRESS_APPLICATION", "    EGRESS_APPLICATION@3. ip"),
        # Of another layout: its tables may have other names.
        (f"cookie={OLDER:#x}, table={TIER}, actions=resubmit(,{GUARD})", OLDER, None, f"resubmit(,{GUARD})"),
        (f"  will be resumed at table {TIER}.", None, None, "at table EGRESS_APPLICATION."),
        ("\x1b[32mcookie=\x1b[0m0x1, table=1, actions=drop", 1, None, "cookie=0x1, table=1, actions=drop"),
        (f"table=3,priority=1 actions=learn(cookie={WEB_DB:#x})", 0, None, "table=3,"),
        ("cookie=18446744073709551615, actions=drop", 2**64 - 1, None, None),
        ("Datapath actions: ct(zone=5),recirc(0x1)", None, None, None),
        ("\x1b]0;title\x07x\x00", None, None, "\\x1b]0;title\\x07x\\x00"),
    ],
)
def test_lines(line, number, table, text):
    found = read_line(line)
    assert (found.cookie, found.table) == (number, table)
    if text is not None:
        assert text in found.text


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*" =,().:\x1b[m\n0123456789x", "cookie=", "table=", "resubmit(", " actions="])))
def test_any_line_can_be_read(words):
    found = read_line("".join(words))
    assert found.text.isprintable() or not found.text
    assert found.cookie is None or 0 <= found.cookie < 2**64


def test_input_is_bounded(shop):
    result = portcullis("explain", "shop.yaml", "--flow", "-", stdin="x" * (MAX_LINE + 1))
    assert result.exit_code == 2
    assert "longer than 1 MiB" in result.stderr
