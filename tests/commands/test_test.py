"""`portcullis test`: cases that pass and fail, reports for people and machines, and every mistake with its place."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from policy.cases.read import CASE_KEYS, FILE_KEYS, REQUIRED, VERDICTS
from policy.nodes import Kind, Mapping, Sequence
from policy.problems import Problems
from policy.source import Budget, read
from tests.commands.conftest import portcullis

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/cases.schema.json").read_text())
GOOD = """\
cases:
  - {name: customers, from: 192.0.2.7, to: web-1, service: tcp/443, verdict: allow, rule: shop/clients}
  - {from: web-1, to: db-1, service: tcp/3306, verdict: allow, rule: shop/web-db}
  - {from: web-1, to: db-1, service: tcp/22, verdict: deny, rule: default}
  - {from: 192.0.2.7, to: db-1, service: tcp/3306, verdict: deny, rule: 'shop/#3', network: prod}
  - {from: web-1, to: 10.0.0.1, service: udp/67, source_port: 68, verdict: allow, rule: builtin/dhcp-client}
  - {from: web-1, to: 10.0.0.1, service: udp/67, source_port: 68, verdict: allow, rule: builtin}
"""
BAD = """\
cases:
  - {name: 'a <"&> case', from: web-1, to: db-1, service: tcp/3306, verdict: deny}
  - {name: other, from: web-1, to: db-1, service: tcp/3306, verdict: allow, rule: shop/clients}
  - {from: db-1, to: web-1, service: tcp/443, verdict: allow}
  - {from: 192.0.2.7, to: web-1, service: tcp/443, verdict: allow}
"""


@pytest.fixture
def cases(shop):
    """Writes a case file beside the policy, which has a directory of its own."""
    (shop / "policy").mkdir()
    (shop / "shop.yaml").rename(shop / "policy/shop.yaml")

    def write(text, name="cases.yaml"):
        (shop / name).parent.mkdir(exist_ok=True)
        (shop / name).write_text(text)
        return shop / name

    return write


def test_all_pass(cases):
    cases(GOOD)
    result = portcullis("test", "policy", "cases.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "6 cases: 6 as expected, 0 not\n"


def test_what_failed_is_told_with_the_deciding_rules(cases):
    cases(BAD)
    result = portcullis("test", "policy", "cases.yaml")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == 'FAILED  cases.yaml:2: a <"&> case'
    assert lines[1].strip() == "web-1 -> db-1 tcp/3306: expected deny, got allow by shop/web-db"
    assert lines[2].strip() == "egress: allow at web-1/web-1, tier application, rule shop/web-db, shop.yaml:17"
    assert lines[3].strip() == "ingress: allow at db-1/db-1, tier application, rule shop/web-db, shop.yaml:17"
    assert lines[5].strip() == "web-1 -> db-1 tcp/3306: expected allow by shop/clients, got allow by shop/web-db"
    assert lines[-1] == "4 cases: 2 as expected, 2 not"


def test_json(cases):
    cases(BAD)
    result = portcullis("test", "policy", "cases.yaml", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["ok"], told["passed"], told["failed"]) == (1, False, 2, 2)
    assert [case["ok"] for case in told["cases"]] == [False, False, True, True]
    first = told["cases"][0]
    assert (first["file"], first["line"], first["expected"]) == ("cases.yaml", 2, {"verdict": "deny", "rule": None})
    assert first["got"]["egress"]["rule"] == "web-db"


def test_junit(cases):
    cases(BAD, "more/bad.yaml")
    cases(GOOD, "more/good.yaml")
    result = portcullis("test", "policy", "more", "--junit", "report.xml")
    assert result.exit_code == 1
    root = ElementTree.parse("report.xml").getroot()
    assert (root.tag, root.attrib) == ("testsuites", {"tests": "10", "failures": "2", "errors": "0"})
    bad, good = root
    assert (bad.get("name"), bad.get("failures"), good.get("tests")) == ("more/bad.yaml", "2", "6")
    assert bad[0].get("name") == 'a <"&> case'
    assert bad[0].find("failure").get("message") == "expected deny, got allow by shop/web-db"
    assert "shop.yaml:17" in bad[0].find("failure").text
    assert [case.find("failure") for case in good] == [None] * 6


def test_junit_where_there_is_no_answer(cases):
    cases("cases:\n  - {from: wbe-1, to: db-1, service: tcp/1, verdict: deny}\n")
    assert portcullis("test", "policy", "cases.yaml", "--junit", "report.xml").exit_code == 2
    (suite,) = ElementTree.parse("report.xml").getroot()
    assert (suite.get("errors"), suite[0].get("name")) == ("1", "cases.yaml:2:12")
    assert "did you mean 'web-1'" in suite[0].find("error").get("message")
    Path("policy/shop.yaml").write_text("version: 3\n")
    assert portcullis("test", "policy", "cases.yaml", "--junit", "report.xml").exit_code == 2
    assert "version 1" in ElementTree.parse("report.xml").getroot().find("testsuite/testcase/error").get("message")


MISTAKES = [
    ("{from: wbe-1, to: db-1, service: tcp/1, verdict: deny}", 12, "did you mean 'web-1'"),
    ("{from: web-1, to: db-2, service: tcp/1, verdict: deny}", 23, "did you mean 'db-1'"),
    ("{from: web-1, to: db-1, service: tcp, verdict: deny}", 38, "more than one connection: name one port or type"),
    ("{from: web-1, to: db-1, service: https, verdict: deny}", 38, "is a service"),
    ("{from: web-1, to: db-1, service: tcp/1, verdict: dney}", 54, "did you mean 'deny'"),
    ("{from: web-1, to: db-1, service: tcp/1, verdict: pass}", 54, "allow, deny, reject"),
    ("{from: web-1, to: db-1, service: tcp/1, verdict: deny, rule: shop/web-bd}", 66, "did you mean 'shop/web-db'"),
    ("{from: web-1, to: db-1, service: icmp/echo, verdict: deny, source_port: 1}", 77, "no source port"),
    ("{from: web-1, to: db-1, service: tcp/1, verdict: deny, source_port: 70000}", 73, "from 0 to 65535"),
    ("{from: web-1, to: db-1, service: tcp/1, verdict: deny, network: pord}", 69, "did you mean 'prod'"),
    ("{from: '2001:db8::1', to: db-1, service: tcp/1, verdict: deny}", 5, "no address family in common"),
    ("{from: web-1, to: db-1, service: icmp6/128, verdict: deny}", 5, "is not of IPv4"),
    ("{from: web-1, to: db-1, service: tcp/1}", 5, "a case needs 'verdict'"),
    ("{from: web-1, to: db-1, service: tcp/1, verdickt: deny}", 45, "did you mean 'verdict'"),
    ("{name: x, from: web-1, to: db-1, service: [tcp/1], verdict: deny}", 47, "must be text"),
    ("deny", 5, "a case must be a mapping"),
]


@pytest.mark.parametrize(("case", "column", "told"), MISTAKES)
def test_mistakes_have_places(cases, case, column, told):
    cases(f"cases:\n  - {case}\n")
    result = portcullis("test", "policy", "cases.yaml", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    place, _, message = result.stderr.splitlines()[0].partition(": error: ")
    assert place == f"cases.yaml:2:{column}"
    assert told in message
    assert result.stderr.splitlines()[1] == "1 mistake, nothing was tested"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "1:1: error: a case file needs 'cases'"),
        ("case: []", "1:1: error: unknown key 'case'; did you mean 'cases'?"),
        ("cases: {}", "1:8: error: 'cases' must be a list, not a mapping"),
        ("cases: []\nversion: 2", "2:10: error: a case file's 'version' must be a number from 1 to 1"),
        ("cases: [", "not YAML"),
        ("cases: []\n---\ncases: []", "2:1: error: a second document"),
        (
            "cases:\n" + "  - {name: a, from: db-1, to: web-1, service: tcp/1, verdict: deny}\n" * 2,
            "3:12: error: a case",
        ),
    ],
)
def test_wrong_files(cases, text, told):
    cases(text)
    result = portcullis("test", "policy", "cases.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_a_rule_that_is_only_audited_is_a_mistake(cases):
    policy = Path("policy/shop.yaml")
    policy.write_text(policy.read_text().replace("  - name: shop\n", "  - name: shop\n    mode: audit\n"))
    cases("cases:\n  - {from: web-1, to: db-1, service: tcp/1, verdict: deny, rule: shop/web-db}\n")
    assert "audit mode" in portcullis("test", "policy", "cases.yaml").stderr


def test_a_tenants_rule_has_its_tenants_name(cases):
    policy = Path("policy/shop.yaml")
    policy.write_text(policy.read_text().replace("db-1:  {", "db-1:  {tenant: acme, "))
    Path("policy/acme.yaml").write_text(
        "tenant: acme\npolicies:\n  - name: own\n    rules: [{name: in, allow: tcp/1, direction: in}]\n"
    )
    case = "{from: 198.51.100.1, to: db-1, service: tcp/1, verdict: allow, rule: 'acme:own/in'}"
    cases(f"cases:\n  - {case}\n")
    result = portcullis("test", "policy", "cases.yaml", "-v")
    assert (result.exit_code, result.stdout.splitlines()[0].split(": ")[-1]) == (0, "allow by acme:own/in")


def test_wrong_usage(cases):
    assert "no such file" in portcullis("test", "policy", "nothing.yaml").stderr
    Path("empty").mkdir()
    assert "no *.yaml files" in portcullis("test", "policy", "empty").stderr
    assert portcullis("test", "policy").exit_code == 2
    cases(GOOD)
    result = portcullis("test", "policy", "cases.yaml", "--junit", "no/such/folder/x.xml")
    assert result.exit_code == 2
    assert "cannot write the report" in result.stderr


def test_cases_within_the_policy_are_told_apart(cases):
    cases(GOOD, "policy/cases.yaml")
    result = portcullis("test", "policy", "policy/cases.yaml")
    assert result.exit_code == 2
    assert "move it elsewhere" in result.stderr


SOME = st.one_of(
    st.text(max_size=12), st.sampled_from(["web-1", "db-1", "10.0.0.21", "tcp/1", "deny", "\x01", "\ufffe"])
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from([*CASE_KEYS, "x"]), st.one_of(SOME, st.integers())), max_size=3))
def test_any_case_file_is_tested_or_refused(shop, found):
    (shop / "cases.json").write_text(json.dumps({"cases": found}))
    result = portcullis("test", "shop.yaml", "cases.json", "--junit", "report.xml")
    assert result.exit_code in (0, 1, 2)
    assert "Traceback" not in result.output
    ElementTree.parse("report.xml")


@pytest.mark.parametrize("text", [GOOD, BAD, *(path.read_text() for path in (ROOT / "examples/cases").glob("*.yaml"))])
def test_good_files_fit_the_schema(text):
    # Through our own reader, YAML 1.2 and all, as far as JSON goes: scalars are text but for numbers.
    assert list(Draft202012Validator(SCHEMA).iter_errors(plain(text))) == []


@pytest.mark.parametrize("case", ["{from: a, to: b, service: tcp/1}", "{from: a, to: b, service: x, verdict: pass}"])
def test_wrong_files_do_not(case):
    assert list(Draft202012Validator(SCHEMA).iter_errors(plain(f"cases: [{case}]")))


def plain(text):
    """The values that a YAML file holds."""

    def value(node):
        if isinstance(node, Mapping):
            return {key.text: value(below) for key, below in node.entries}
        if isinstance(node, Sequence):
            return [value(item) for item in node.items]
        return int(node.text) if node.kind is Kind.INTEGER else node.text

    return value(read("cases.yaml", text.encode(), Budget(), Problems()))


def test_the_schema_says_what_is_read():
    Draft202012Validator.check_schema(SCHEMA)
    case = SCHEMA["$defs"]["case"]
    assert sorted(SCHEMA["properties"]) == sorted(FILE_KEYS)
    assert sorted(case["properties"]) == sorted(CASE_KEYS)
    assert sorted(case["required"]) == sorted(REQUIRED)
    assert case["properties"]["verdict"]["enum"] == list(VERDICTS)
