"""Random histories: changes of policy, labels and ports, as many as one likes, the same for the same seed."""

from __future__ import annotations

import random

from mininet_scenarios.lab import LiveGuest
from tests.live.shop import FILES, Shop

NAMES = ("late-0", "late-1", "late-2")
LATE = "".join(
    f'  {name}: {{labels: {{role: {{{name}}}}}, addresses: [10.0.0.{20 + number}, "2001:db8::{20 + number}"]}}\n'
    for number, name in enumerate(NAMES)
)
ROLES = ("web", "app", "db", "nothing")


class History:
    """What is done to a shop, one thing after the other; what its streams and knocks need stays as it is."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop = shop
        self._random = random.Random(seed)
        self._rules: dict[str, str] = {}
        self._roles = dict.fromkeys(NAMES, "nothing")
        self._guests: dict[str, LiveGuest] = {}
        self._numbers = 0
        self._say()

    def step(self) -> str:
        """One change, without waiting for what becomes of it; tells what it was."""
        doing = self._random.choice((self._rule, self._rule, self._label, self._port, self._port))
        return doing()

    def settle(self) -> None:
        """Back to how it began, so that the next history begins there."""
        self._rules.clear()
        for guest in self._guests.values():
            guest.unplug()
        self._say()

    def _rule(self) -> str:
        if self._rules and self._random.random() < 0.4:
            name = self._random.choice(sorted(self._rules))
            del self._rules[name]
            self._say()
            return f"rule {name} goes"
        self._numbers += 1
        name = f"extra-{self._numbers}"
        verb, source, target = self._random.choice(("allow", "deny", "reject")), *self._random.sample(ROLES[:3], 2)
        port = self._random.randrange(9000, 9100)
        self._rules[name] = f"      - {{name: {name}, {verb}: tcp/{port}, from: {source}, to: {target}}}\n"
        self._say()
        return f"rule {name} comes"

    def _label(self) -> str:
        name, role = self._random.choice(NAMES), self._random.choice(ROLES)
        self._roles[name] = role
        self._say()
        return f"{name} becomes {role}"

    def _port(self) -> str:
        name = self._random.choice(NAMES)
        guest = self._guests.get(name)
        if guest is None:
            number = 20 + NAMES.index(name)
            addresses = [f"10.0.0.{number}/24", f"2001:db8::{number}/64"]
            self._guests[name] = self._shop.lab.guest(self._shop.ovs, self._shop.bridge, name, addresses)
            return f"{name} comes"
        guest.replug()
        return f"{name} is plugged in anew"

    def _say(self) -> None:
        late = LATE
        for name, role in self._roles.items():
            late = late.replace("{" + name + "}", role)
        rules = list(self._rules.values())
        before, after = rules[::2], rules[1::2]
        policy = FILES["policy.yaml"].replace("    rules:\n", "    rules:\n" + "".join(before)) + "".join(after)
        self._shop.say("inventory.yaml", FILES["inventory.yaml"] + late)
        self._shop.say("policy.yaml", policy)
