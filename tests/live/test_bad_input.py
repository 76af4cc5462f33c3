"""Wrong policies and contradictory ports on a live switch: told with their place, and nothing opens or is lost."""

import re

import pytest

from mininet_scenarios.lab import Lab
from mininet_scenarios.words import blocked, connect, reaches, still_open
from tests.live.shop import RULES, VMS, Shop

FIVE_MISTAKES = """\
groups:
  web: {match: "role = web"}
  app: {match: "role == app"}
  db:  {match: "role == db"}
policies:
  - name: shop
    tier: aplication
    rules:
      - {name: clients, allow: tcp/99999, from: any, to: web}
      - {name: web-app, alow: [tcp/8080], from: web, to: app}
      - {name: app-db, allow: tcp/3306, from: ap, to: db}
"""


def test_five_mistakes_give_five_messages_and_the_old_policy_stays(lab: Lab):
    shop = Shop(lab)
    link = connect(shop.web, shop.app, "tcp/8080")
    before = shop.controller.status()["policy"]["revision"]
    shop.say("policy.yaml", FIVE_MISTAKES)
    status = shop.controller.get("/status?wait=10")
    assert not status["enforced"]
    assert status["policy"]["state"] == "refused"
    assert status["policy"]["revision"] == before
    places = [(error["file"], error["line"]) for error in status["policy"]["errors"]]
    assert places == [
        ("policy.yaml", 2),
        ("policy.yaml", 7),
        ("policy.yaml", 9),
        ("policy.yaml", 10),
        ("policy.yaml", 11),
    ]
    assert all(error["column"] > 1 and error["message"] for error in status["policy"]["errors"])
    told = re.findall(r"policy refused: (policy\.yaml:\d+:\d+): .+", shop.controller.log.read_text())
    assert len(told) == 5
    still_open(link)
    reaches(shop.client, shop.web, "tcp/443")
    blocked(shop.client, shop.db, "tcp/3306")
    shop.say("policy.yaml", RULES)
    assert shop.controller.wait_enforced()["policy"]["errors"] == []


@pytest.mark.parametrize("there", [True, False])
def test_no_policy_at_start_shuts_everything_and_says_why(lab: Lab, there: bool):
    shop = Shop(lab, start=False)
    for file in shop.files:
        (shop.controller.policy / file).unlink()
    if not there:
        shop.controller.policy.rmdir()
    # As a bridge is when it was a plain switch before.
    shop.ovs.normal(shop.bridge)
    shop.controller.start()
    status = shop.controller.told(lambda status: status["bridges"] and status["bridges"][0]["in_force"] == "none")
    assert status["policy"]["missing"] is True
    assert len(status["policy"]["errors"]) == 1
    assert any("policy was refused" in line and "nothing is allowed" in line for line in status["waiting_for"])
    blocked(shop.client, shop.web, "tcp/443")
    blocked(shop.web, shop.app, "tcp/8080")
    # It recovers by itself when a policy comes.
    for file, text in shop.files.items():
        shop.say(file, text)
    shop.controller.wait_enforced()
    reaches(shop.client, shop.web, "tcp/443")


def test_a_restart_without_a_policy_keeps_what_is_in_force(lab: Lab):
    """The directory may just not be mounted yet: what the switch enforces is the last good policy, and stays."""
    shop = Shop(lab)
    link = connect(shop.web, shop.app, "tcp/8080")
    shop.controller.kill9()
    shop.say("policy.yaml", FIVE_MISTAKES)
    shop.controller.start()
    shop.controller.told(lambda status: bool(status["policy"]["errors"]) and status["bridges"][0]["connected"])
    still_open(link)
    blocked(shop.client, shop.db, "tcp/3306")
    shop.say("policy.yaml", RULES)
    shop.controller.wait_enforced()
    still_open(link)


def test_a_contradictory_port_is_shut_and_named(lab: Lab):
    web_id = "0b7c7a0e-0000-4000-8000-000000000001"
    inventory = VMS.replace("web: {labels", f"web: {{id: {web_id}, labels")
    shop = Shop(lab, {"inventory.yaml": inventory, "policy.yaml": RULES}, start=False)
    shop.web.set_ids(vm_id=web_id)
    shop.start()
    link = connect(shop.web, shop.app, "tcp/8080")
    still_open(link)
    # The port now says that it belongs to another VM than its iface-id does.
    shop.app.set_ids(vm_id=web_id)
    shop.controller.told(lambda status: [v for v in status["vnics"] if (v["port"], v["state"]) == ("app", "isolated")])
    shop.controller.wait_enforced()
    told = shop.vnic("app")
    assert web_id in str(told["reason"])
    blocked(shop.web, shop.app, "tcp/8080")
    blocked(shop.app, shop.db, "tcp/3306")
