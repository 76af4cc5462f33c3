"""docs/operation.md, "To give a bridge back": its very commands, on a real switch, with guests that talk."""

import re
import subprocess
from pathlib import Path

import pytest

from mininet_scenarios.lab import Lab, Ovs
from mininet_scenarios.words import blocked, reaches
from tests.live.shop import Shop
from topology.rows import INTERFACE_KEYS

PAGE = (Path(__file__).parents[2] / "docs" / "operation.md").read_text()
(LIMITS,) = re.findall(r"^```sh give-back-limits\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(RECIPE,) = re.findall(r"^```sh give-back\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shop(lab: Lab) -> Shop:
    return Shop(lab)


def test_it_takes_every_key_of_ours():
    ours = {key for key in INTERFACE_KEYS if key.startswith("portcullis-")}
    (pattern,) = re.findall(r"grep -o '([^']+)'", RECIPE)
    assert ours and all(re.fullmatch(pattern, f"{key}{tag}") for key in ours for tag in ("", ".1", ".4094"))


def run_recipe(ovs: Ovs) -> None:
    """All of it in one shell, as an operator would paste it; `systemctl` is none of the switch's."""
    lines = [line for line in RECIPE.splitlines() if not line.startswith("systemctl ")]
    assert len(lines) == len(RECIPE.splitlines()) - 1
    script = "set -e\n" + "\n".join(lines)
    done = subprocess.run(["bash", "-c", script], env=ovs.env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def test_the_bridge_is_an_ordinary_switch_again_and_nothing_of_ours_is_left(shop):
    blocked(shop.web, shop.db, "tcp/3306")
    before = shop.ovs.vsctl("get", "bridge", shop.bridge, "fail_mode", "other_config", "flow_tables")
    assert "secure" in before and "disable-in-band" in before and "0x" not in before and before.count("=") > 3
    # As a sub-port leaves them.
    shop.ovs.vsctl("set", "interface", "web", "external_ids:portcullis-zone.20=20")
    zones = shop.ovs.vsctl("--columns=external_ids", "list", "interface")
    assert "portcullis-zone" in zones
    assert "meter=" in shop.ovs.ofctl("dump-meters", shop.bridge)
    shop.controller.stop()

    run_recipe(shop.ovs)

    reaches(shop.web, shop.db, "tcp/3306")
    reaches(shop.client, shop.db, "tcp/3306")
    assert [line.split("actions=")[1] for line in shop.ovs.flows(shop.bridge)] == ["NORMAL"]
    assert "meter=" not in shop.ovs.ofctl("dump-meters", shop.bridge)
    columns = ("fail_mode", "other_config", "flow_tables", "controller")
    left = shop.ovs.vsctl("get", "bridge", shop.bridge, *columns).splitlines()
    assert left == ["standalone", "{}", "{}", "[]"]
    assert "portcullis" not in shop.ovs.vsctl("list", "interface")
    subprocess.run(["bash", "-ec", LIMITS], env=shop.ovs.env, check=True, timeout=60)
    assert shop.ovs.find("ct_zone") == [] and shop.ovs.find("datapath") == []


def test_it_can_be_taken_again(shop):
    shop.controller.stop()
    run_recipe(shop.ovs)
    reaches(shop.web, shop.db, "tcp/3306")
    shop.ovs.vsctl("set-controller", shop.bridge, shop.controller.target)
    shop.start()
    blocked(shop.web, shop.db, "tcp/3306")
    reaches(shop.web, shop.app, "tcp/8080")
