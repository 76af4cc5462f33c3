"""The attackers' own tools against the live firewall: nothing of what they send arrives, and nobody is disturbed."""

import subprocess
from contextlib import ExitStack

import pytest

from mininet_scenarios.words import sniff
from tests.attack.counters import count, counted
from tests.attack.declare import EVIL, reason_label
from tests.attack.harness import battle as fought
from tests.attack.page import TOOLS_FAMILY
from tests.attack.results import FAILED, STOPPED, note
from tests.attack.tools import TOOLS


@pytest.fixture(scope="module")
def battle(module_lab):
    with fought(module_lab) as battle:
        yield battle


def run_for(namespace, seconds, command):
    """A tool inside a guest, ended after so many seconds if it does not end by itself; what it said."""
    inside = ["ip", "netns", "exec", namespace, "timeout", "-s", "KILL", str(seconds), *command]
    done = subprocess.run(
        inside, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, timeout=30
    )
    return f"{' '.join(command)}: status {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_stopped(battle, tool):
    command = f"`{' '.join(tool.command)}`"
    note(TOOLS_FAMILY, command, FAILED)
    place, lost = battle.place, battle.stream.lost
    before = count(place.ovs, place.bridge, tool.reason)
    with ExitStack() as stack:
        sniffers = {
            name: stack.enter_context(sniff(place.guests[name], tool.where, tool.contains)) for name in tool.spares
        }
        said = run_for(place.guests[EVIL].namespace, tool.seconds, tool.command)
        battle.control(EVIL)
        for name, sniffer in sniffers.items():
            assert sniffer.count == 0, (
                f"{tool.name}: {sniffer.count} frames at {name}, the first: {sniffer.frames[0].hex()}"
            )
    grown = counted(place.ovs, place.bridge, tool.reason, before + tool.at_least) - before
    assert grown >= tool.at_least, f"{reason_label(tool.reason)} has counted {grown}; {said}"
    assert battle.stream.lost == lost
    battle.undisturbed()
    note(TOOLS_FAMILY, command, STOPPED)
