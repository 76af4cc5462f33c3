"""The policies in examples/: every command that works on files works on them, and they do what their cases say."""

import json
import shutil
from pathlib import Path

import pytest

from policy.load import load
from policy.model import Tier
from tests.commands.conftest import portcullis

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = sorted(path.stem for path in (EXAMPLES / "cases").glob("*.yaml"))
COMPANY = EXAMPLES / "company"


@pytest.mark.parametrize("name", NAMES)
def test_check(name):
    result = portcullis("check", EXAMPLES / name)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_its_cases(name):
    result = portcullis("test", EXAMPLES / name, EXAMPLES / f"cases/{name}.yaml", "--json")
    told = json.loads(result.stdout)
    assert [case["name"] for case in told["cases"] if not case["ok"]] == []
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_explain_says_what_the_cases_say(name):
    result = portcullis("test", EXAMPLES / name, EXAMPLES / f"cases/{name}.yaml", "--json")
    for case in json.loads(result.stdout)["cases"][::7]:
        words = ["--from", case["from"], "--to", case["to"], "--service", case["service"], "--json"]
        if case["source_port"] is not None:
            words += ["--source-port", case["source_port"]]
        if case["network"] is not None:
            words += ["--network", case["network"]]
        assert json.loads(portcullis("explain", EXAMPLES / name, *words).stdout) == case["got"]


@pytest.mark.parametrize("name", NAMES)
def test_lint_finds_no_error(name):
    result = portcullis("lint", EXAMPLES / name, "--json")
    assert [finding for finding in json.loads(result.stdout) if finding["severity"] == "error"] == []
    assert result.exit_code == 0


@pytest.mark.parametrize("name", NAMES)
def test_matrix_and_diff(name):
    result = portcullis("matrix", EXAMPLES / name, "--service", "tcp/22", "--json")
    assert result.exit_code == 0
    assert {each["verdict"] for each in json.loads(result.stdout)} >= {"allow", "deny"}
    same = portcullis("diff", EXAMPLES / name, EXAMPLES / name, "--json")
    assert (same.exit_code, json.loads(same.stdout)) == (0, {"widened": [], "narrowed": []})


def test_the_company_has_what_its_page_promises():
    document = load(COMPANY)
    page = (COMPANY / "README.md").read_text()
    assert f"{sum(len(policy.rules) for policy in document.policies)} rules" in page
    assert {policy.tier for policy in document.policies} == set(Tier)
    assert {policy.tenant for policy in document.policies} == {None, "shop", "payments", "developers"}
    assert any(policy.audit for policy in document.policies)
    assert len(document.assertions) > 10
    for path in sorted(COMPANY.iterdir()):
        assert path.name == "README.md" or f"`{path.name}{'/' * path.is_dir()}`" in page


@pytest.mark.parametrize(
    ("file", "rule", "assertion"),
    [
        ("emergency.yaml", "from-banned", "banned-stay-out"),
        ("emergency.yaml", "no-telnet", "no-telnet"),
    ],
)
def test_the_companys_assertions_object(tmp_path, file, rule, assertion):
    shutil.copytree(COMPANY, tmp_path / "company")
    lines = (COMPANY / file).read_text().splitlines()
    (tmp_path / "company" / file).write_text("\n".join(line for line in lines if f"name: {rule}," not in line))
    result = portcullis("check", tmp_path / "company")
    assert result.exit_code == 1
    assert f"assertion {assertion!r} fails" in result.stderr
