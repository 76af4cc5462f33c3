"""`portcullis counters`."""

import json

import pytest

from tests.commands.conftest import portcullis
from tests.commands.sample import counters_page


def test_every_rule_default_drop_and_loss_is_shown(shop, controller):
    result = portcullis("counters")
    assert (result.exit_code, result.stderr) == (0, "")
    for word in ("shop/web-db", "shop.yaml:17", "104000", "spoofed-source", "egress", "rate of their rule"):
        assert word in result.stdout


def test_json_is_the_page(shop, controller):
    assert json.loads(portcullis("counters", "--json").stdout) == counters_page()


def test_a_rule_in_audit_says_so(shop, controller):
    page = counters_page()
    page["rules"][0]["audit"] = True
    controller.pages["/portcullis/counters"] = page
    assert "audit: allow" in portcullis("counters").stdout


@pytest.mark.parametrize("page", [{}, {"rules": []}, {"rules": 1, "losses": {}}])
def test_strangers(shop, controller, page):
    controller.pages["/portcullis/counters"] = page
    result = portcullis("counters")
    assert result.exit_code == 2 and "is not Portcullis" in result.stderr


@pytest.mark.parametrize("rule", [{}, {"name": "\x1b[31m", "file": 5, "verdict": None}])
def test_pages_of_another_version(shop, controller, rule):
    controller.pages["/portcullis/counters"] = {"rules": [rule, 7], "losses": {}}
    result = portcullis("counters")
    assert result.exit_code == 0 and "\x1b" not in result.stdout


def test_nobody_answers(shop, nobody):
    assert portcullis("counters").exit_code == 2
