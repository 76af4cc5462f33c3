"""Policy changes under live traffic: what is no longer allowed stops at once, what stays allowed loses nothing."""

import pytest

from mininet_scenarios.lab import Lab
from mininet_scenarios.words import blocked, connect, now_cut, reaches, still_open, stream
from tests.live.shop import FILES, Shop

WEB_APP = "      - {name: web-app, allow: [tcp/8080, udp/5000, icmp/echo], from: web, to: app}\n"


@pytest.fixture(scope="module")
def the_shop(module_lab: Lab) -> Shop:
    return Shop(module_lab)


@pytest.fixture
def shop(the_shop: Shop) -> Shop:
    for name, text in FILES.items():
        the_shop.say(name, text)
    the_shop.controller.wait_enforced()
    return the_shop


@pytest.mark.parametrize("family", [4, 6])
def test_a_removed_rule_cuts_what_is_established(shop, family):
    link = connect(shop.web, shop.app, "tcp/8080", over=family)
    other = connect(shop.app, shop.db, "tcp/3306", over=family)
    still_open(link)
    # The server sends; the client has been silent since its first packet.
    with stream(shop.web, shop.app, "udp/5000", push=True, over=family) as push:
        shop.change("policy.yaml", WEB_APP, "")
        push.stops(within=0.5)
    now_cut(link)
    still_open(other)
    blocked(shop.web, shop.app, "tcp/8080", over=family)


@pytest.mark.parametrize("family", [4, 6])
def test_a_changed_label_cuts_what_is_established(shop, family):
    link = connect(shop.web, shop.app, "tcp/8080", over=family)
    with stream(shop.web, shop.app, "udp/5000", push=True, over=family) as push:
        shop.change("inventory.yaml", "web: {labels: {role: web}", "web: {labels: {role: quarantine}")
        push.stops(within=0.5)
    now_cut(link)
    blocked(shop.client, shop.web, "tcp/443", over=family)


def test_an_added_rule_opens_and_a_label_moves_a_vm_into_a_group(shop):
    blocked(shop.db, shop.web, "tcp/9000")
    shop.change("policy.yaml", "    rules:\n", "    rules:\n      - {name: new, allow: tcp/9000, from: db, to: web}\n")
    reaches(shop.db, shop.web, "tcp/9000")
    blocked(shop.app, shop.web, "tcp/9000")
    shop.change("inventory.yaml", "app: {labels: {role: app}", "app: {labels: {role: db}")
    reaches(shop.app, shop.web, "tcp/9000")


def test_connections_that_stay_allowed_lose_nothing_over_twenty_reloads(shop):
    link = connect(shop.app, shop.db, "tcp/3306")
    with (
        stream(shop.web, shop.app, "udp/5000", rate=500) as there,
        stream(shop.web, shop.app, "udp/5000", rate=500, push=True, over=6) as back,
    ):
        for number in range(20):
            rule = f"      - {{name: extra-{number}, allow: tcp/{9000 + number}, from: web, to: app}}\n"
            if number % 2:
                # Not only added at the end: rules move, come and go, and change, around the one that is in use.
                shop.change("policy.yaml", "    rules:\n", "    rules:\n" + rule)
            else:
                shop.say("policy.yaml", rules_with(rule))
                shop.controller.wait_enforced()
        assert there.finish().lost == 0, there.counts()
        assert back.finish().lost == 0, back.counts()
    still_open(link)


def rules_with(rule: str) -> str:
    """The shop's rules and one more at the end."""
    return FILES["policy.yaml"] + rule
