"""Every declared attack against the live firewall, one after the other, in one place that all families share."""

import pytest

from tests.attack.declare import LOSES, VIC, Limit, reason_label
from tests.attack.families import FAMILIES
from tests.attack.harness import battle as fought
from tests.attack.results import FAILED, KNOWN, LOST, note
from tests.attack.told import samples

ATTACKS = [
    pytest.param(family, attack, id=f"{family.name}: {attack.name}") for family in FAMILIES for attack in family.attacks
]
HONEST = [
    pytest.param(family, honest, id=f"{family.name}: {honest.name}") for family in FAMILIES for honest in family.honest
]
LIMITS = [
    pytest.param(family, limit, id=f"{family.name}: {limit.name}") for family in FAMILIES for limit in family.limits
]
LOSSES = [
    pytest.param(family, loss, id=f"{family.name}: {loss.name}") for family in FAMILIES for loss in family.losses
]
TOLD = [
    pytest.param(family, attack, id=f"{family.name}: {reason_label(attack.reason)}, by {attack.by}")
    for family in FAMILIES
    for attack in samples(family)
]


@pytest.fixture(scope="module")
def battle(module_lab):
    with fought(module_lab) as battle:
        yield battle


def version(battle):
    """Of the Open vSwitch that is attacked."""
    return battle.place.ovs.appctl("version").split()[-1]


@pytest.mark.parametrize(("family", "attack"), ATTACKS)
def test_stopped(battle, family, attack):
    note(family.name, attack.name, FAILED)
    if attack.passes_on == version(battle):
        battle.arrives(family.name, Limit(attack.name, attack.wants, "", attack.sends, frozenset({VIC}), attack.by))
        note(family.name, attack.name, KNOWN)
        battle.undisturbed()
        return
    outcome = battle.carry_out(family.name, attack)
    note(family.name, attack.name, outcome.result)
    outcome.check()
    battle.undisturbed()


@pytest.mark.parametrize(("family", "attack"), TOLD)
def test_the_log_names_the_attacker_and_the_reason(battle, family, attack):
    battle.told(family.name, attack)


@pytest.mark.parametrize(("family", "honest"), HONEST)
def test_the_honest_variant_arrives(battle, family, honest):
    battle.arrives(family.name, honest)
    battle.undisturbed()


@pytest.mark.parametrize(("family", "limit"), LIMITS)
def test_a_known_limit_is_one(battle, family, limit):
    note(family.name, limit.name, "no longer gets past")
    battle.arrives(family.name, limit)
    note(family.name, limit.name, KNOWN)
    battle.undisturbed()


@pytest.mark.parametrize(("family", "loss"), LOSSES)
def test_a_known_loss_is_one(battle, family, loss):
    if version(battle) != LOSES:
        # The loss is a fault of that version: another one must not have it, or is to be declared, too.
        battle.arrives(family.name, loss)
        return
    note(family.name, loss.name, "no longer lost")
    battle.loses(family.name, loss)
    note(family.name, loss.name, LOST)
    battle.undisturbed()
