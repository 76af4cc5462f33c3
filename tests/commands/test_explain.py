"""`portcullis explain` about connections. What the answers mean is tested where the evaluator is."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy.evaluate import evaluate
from policy.question import decision_json, parse_question
from tests.commands.conftest import portcullis
from tests.commands.sample import document

WEB_TO_DB = ("--from", "web-1", "--to", "db-1")


@pytest.mark.parametrize(
    ("words", "verdict", "status"),
    [
        ([*WEB_TO_DB, "--service", "tcp/3306"], "allow", 0),
        ([*WEB_TO_DB, "--service", "tcp/3307"], "deny", 1),
        ([*WEB_TO_DB, "--service", "tcp/3306", "--source-port", "0"], "allow", 0),
        (["--from", "8.8.8.8", "--to", "web-1/web-1", "--service", "tcp/443"], "allow", 0),
        (["--from", "2001:db8:9::1", "--to", "web-1", "--service", "icmp/echo", "--network", "prod"], "allow", 0),
        (["--from", "web-1@2001:db8::11", "--to", "::5", "--service", "proto/47"], "deny", 1),
    ],
)
def test_verdict_and_status(shop, words, verdict, status):
    text = portcullis("explain", "shop.yaml", *words)
    assert (text.exit_code, text.stderr) == (status, "")
    assert text.stdout.startswith(f"{verdict} ")
    told = portcullis("explain", "shop.yaml", *words, "--json")
    assert (told.exit_code, told.stderr) == (status, "")
    assert json.loads(told.stdout)["verdict"] == verdict


def test_json_is_the_evaluators_answer(shop):
    result = portcullis("explain", ".", "--from", "192.0.2.1", "--to", "db-1", "--service", "udp/1", "--json")
    asked = parse_question(document(), "192.0.2.1", "db-1", "udp/1")
    assert json.loads(result.stdout) == decision_json(evaluate(document(), asked))
    assert json.loads(result.stdout)["ingress"]["file"] == "shop.yaml"


def test_text_names_rules_with_their_places(shop):
    result = portcullis("explain", "shop.yaml", *WEB_TO_DB, "--service", "tcp/3306")
    _, egress, ingress = (line.split() for line in result.stdout.splitlines())
    assert egress[:3] == ["egress", "allow", "web-1/web-1"]
    assert ingress[3:] == ["tier", "application", "rule", "shop/web-db", "shop.yaml:17"]


def test_built_in_rules_have_names(shop):
    words = ["--from", "web-1", "--to", "10.0.0.1", "--service", "udp/67", "--source-port", "68"]
    result = portcullis("explain", "shop.yaml", *words)
    assert "built-in rule dhcp-client" in result.stdout
    told = json.loads(portcullis("explain", "shop.yaml", *words, "--json").stdout)
    assert (told["egress"]["tier"], told["egress"]["rule"], told["egress"]["file"]) == ("builtin", "dhcp-client", None)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give either"),
        (["--from", "web-1"], "--to and --service missing"),
        (["--cookie", "1", "--from", "web-1"], "give either"),
        (["--cookie", "1", "--flow", "-"], "give either"),
        (["--cookie", "1", "--network", "prod"], "give either"),
        (["--cookie", "-1"], "a cookie is a number of 64 bits"),
        (["--cookie", "0x1" + 16 * "0"], "a cookie is a number of 64 bits"),
        (["--cookie", "9" * 5000], "a cookie is a number of 64 bits"),
        (["--cookie", "rule"], "a cookie is a number of 64 bits"),
        (["--flow", "NXST_FLOW reply"], "this is no flow"),
        ([*WEB_TO_DB, "--service", "https"], "is a service"),
        ([*WEB_TO_DB, "--service", "tcp/1-2"], "more than one connection"),
        ([*WEB_TO_DB, "--service", "icmp6/128"], "is not of IPv4"),
        ([*WEB_TO_DB, "--service", "icmp/echo", "--source-port", "1"], "has no ports"),
        ([*WEB_TO_DB, "--service", "tcp/1", "--source-port", "65536"], "--source-port"),
        ([*WEB_TO_DB, "--service", "tcp/1", "--network", "pord"], "did you mean 'prod'"),
        (["--from", "web", "--to", "db-1", "--service", "tcp/1"], "did you mean 'web-1'"),
        ([*WEB_TO_DB, "--service", "tcp/1", "--url", "file:///etc/passwd"], "is not a URL"),
    ],
)
def test_wrong_usage(shop, words, told):
    result = portcullis("explain", "shop.yaml", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert told in result.stderr


def test_a_policy_that_does_not_load_is_no_answer(shop):
    (shop / "shop.yaml").write_text("version: 2\n")
    for words in ([*WEB_TO_DB, "--service", "tcp/1"], ["--cookie", "1"], ["--flow", " actions=drop"]):
        for option in ([], ["--json"]):
            result = portcullis("explain", ".", *words, *option)
            assert (result.exit_code, result.stdout) == (2, "")
            assert "shop.yaml:1:10: error:" in result.stderr


ENDS = ["web-1", "db-1", "web-1/web-1", "web-1@10.0.0.11", "10.0.0.21", "2001:db8::11", "fe80::1%eth0", "10.0.0.0/8"]
WHO = st.one_of(st.sampled_from(ENDS), st.text(max_size=20))
TERM = st.one_of(
    st.from_regex(r"(tcp|udp|sctp|icmp|icmp4|icmp6|proto|any)(/[0-9]{1,5}){0,2}", fullmatch=True), st.text(max_size=20)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(source=WHO, destination=WHO, service=TERM)
def test_any_question_has_an_answer_or_is_refused(shop, source, destination, service):
    words = [f"--from={source}", f"--to={destination}", f"--service={service}", "--json"]
    result = portcullis("explain", "shop.yaml", *words)
    if result.exit_code == 2:
        assert result.stdout == ""
        assert "Error: " in result.stderr
        assert "\x1b" not in result.stderr
    else:
        assert result.exit_code == int(json.loads(result.stdout)["verdict"] != "allow")


def test_why_tells_what_was_passed_over(shop):
    words = [*WEB_TO_DB, "--service", "tcp/3307", "--why"]
    result = portcullis("explain", "shop.yaml", *words)
    assert result.exit_code == 1
    assert "passed over at egress:\n" in result.stdout
    near = next(line for line in result.stdout.splitlines() if "shop/web-db" in line)
    assert near.split() == ["allow", "shop/web-db", "shop.yaml:17", "it", "is", "about", "other", "services"]
    told = json.loads(portcullis("explain", "shop.yaml", *words, "--json").stdout)
    assert [each["reasons"] for each in told["passed_over"]["ingress"]] == [["to", "service"], ["service"], ["from"]]
    assert portcullis("explain", "shop.yaml", "--cookie", "1", "--why").exit_code == 2
