"""`portcullis check`."""

import json

import pytest

from tests.commands.conftest import portcullis

WRONG = "version: 1\ngroups:\n  web: {match: 'role =='}\n  app: {any_of: wbe}\n"


def test_a_good_policy(shop):
    for policy in ("shop.yaml", "."):
        result = portcullis("check", policy)
        assert result.exit_code == 0
        assert "3 rules" in result.stdout
        assert result.stderr == ""


def test_problems_go_to_standard_error_with_their_places(shop):
    (shop / "shop.yaml").unlink()
    (shop / "sub").mkdir()
    (shop / "sub/wrong.yaml").write_text(WRONG)
    result = portcullis("check", shop)
    assert result.exit_code == 1
    assert result.stdout == ""
    places = [line.split(": ")[0] for line in result.stderr.splitlines()]
    assert places == [f"{shop}/sub/wrong.yaml:3:24", f"{shop}/sub/wrong.yaml:4:17", "2 problems"]
    assert "\x1b" not in result.stderr


def test_json_has_the_problems(shop):
    (shop / "wrong.yaml").write_text(WRONG)
    result = portcullis("check", "wrong.yaml", "--json")
    assert result.exit_code == 1
    assert result.stderr == ""
    told = json.loads(result.stdout)
    assert not told["ok"]
    assert [(each["file"], each["line"], each["column"]) for each in told["problems"]] == [
        ("wrong.yaml", 3, 24),
        ("wrong.yaml", 4, 17),
    ]


@pytest.mark.parametrize("policy", ["nothing", "empty", "shop.yaml/x", "a\tb", "\udcff"])
@pytest.mark.parametrize("option", [[], ["--json"]])
def test_no_policy_is_wrong_usage(shop, policy, option):
    (shop / "empty").mkdir()
    result = portcullis("check", policy, *option)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: Invalid value for 'POLICY'" in result.stderr


def test_a_wide_message_is_not_wrapped(shop):
    (shop / "wrong.yaml").write_text("version: 1\ngroups:\n  web: {any_of: " + "x" * 600 + "}\n")
    result = portcullis("check", "wrong.yaml")
    assert len(result.stderr.splitlines()) == 2


def test_what_not_every_switch_enforces_is_a_note_and_no_problem(shop):
    (shop / "limits.yaml").write_text("limits:\n  few: {connections: 7}\n  some: {notices: 7}\n")
    result = portcullis("check", ".")
    assert result.exit_code == 0
    needs = "which needs Open vSwitch 3.3 or newer (OVSDB's column CT_Zone.limit)"
    assert result.stderr == f"limits.yaml:2:3: note: limit few states connections: 7, {needs}\n"
    result = portcullis("check", ".", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert told["ok"] and told["problems"] == []
    assert [(note["file"], note["line"]) for note in told["notes"]] == [("limits.yaml", 2)]
