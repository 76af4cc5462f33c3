"""The `policies` of a policy document: from nodes to `policy.model.Policy` values."""

from __future__ import annotations

from policy import fields
from policy.groups import GroupTable
from policy.model import Groups, Policy, Rule, Term, Tier, Verdict
from policy.nodes import Mapping, Node, Scalar
from policy.problems import Problems, quoted
from policy.services import Services
from topology.inventory import Place

DEFAULT_ORDER = 1000
MAX_ORDER = 65535
_POLICY_KEYS = ("name", "tier", "order", "mode", "rules")
_VERDICTS = {verdict.value: verdict for verdict in Verdict}
_RULE_KEYS = ("name", *_VERDICTS, "from", "to", "direction", "at", "log")
_MODES = ("enforce", "audit")
_TIERS = {tier.label: tier for tier in Tier}
_TENANTS_TIERS = (Tier.ENVIRONMENT.label, Tier.APPLICATION.label)
# Where a rule is enforced: (at the vNIC that opens a connection, at the vNIC it comes to).
_DIRECTIONS = {"both": (True, True), "out": (True, False), "in": (False, True)}

Values = dict[str, tuple[Scalar, Node]]


class PolicyReader:
    """Reads the policies of one namespace, one after the other; their names are unique in it."""

    def __init__(self, tenant: str | None, groups: GroupTable, services: Services, problems: Problems) -> None:
        self._tenant = tenant
        self._groups = groups
        self._services = services
        self._problems = problems
        self._names: dict[str, Place] = {}

    def policy(self, node: Node) -> Policy | None:
        """One policy with its rules; None if it has no name."""
        values = fields.fields(node, "a policy", _POLICY_KEYS, self._problems)
        if values is None:
            return None
        for key in ("name", "rules"):
            if key not in values:
                self._problems.add(node, f"a policy needs {key!r}")
        name = self._name(values)
        return Policy(
            name=name or "",
            tier=self._tier(values),
            order=self._order(values),
            rules=self._rules(values["rules"][1]) if "rules" in values else (),
            place=node.place,
            tenant=self._tenant,
            audit=self._audit(values),
        )

    def _name(self, values: Values) -> str | None:
        name = fields.name(values["name"][1], "a policy's name", self._problems) if "name" in values else None
        if name is not None:
            place = values["name"][1].place
            first = self._names.setdefault(name, place)
            if first is not place:
                self._problems.add(place, f"policy {name!r} is already at {first}")
        return name

    def _audit(self, values: Values) -> bool:
        return "mode" in values and fields.choice(values["mode"][1], "'mode'", _MODES, self._problems) == "audit"

    def _tier(self, values: Values) -> Tier:
        if "tier" not in values:
            return Tier.APPLICATION
        node = values["tier"][1]
        if self._tenant is not None and isinstance(node, Scalar) and node.text in _TIERS.keys() - {*_TENANTS_TIERS}:
            self._problems.add(
                node, f"the tier {node.text!r} is the provider's; a tenant's are {' and '.join(_TENANTS_TIERS)}"
            )
            return Tier.APPLICATION
        choices = _TIERS if self._tenant is None else _TENANTS_TIERS
        tier = fields.choice(node, "'tier'", choices, self._problems)
        return _TIERS[tier] if tier is not None else Tier.APPLICATION

    def _order(self, values: Values) -> int:
        if "order" not in values:
            return DEFAULT_ORDER
        order = fields.integer(values["order"][1], "'order'", 0, MAX_ORDER, self._problems)
        return DEFAULT_ORDER if order is None else order

    def _rules(self, node: Node) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        names: dict[str, Place] = {}
        for number, item in enumerate(fields.items(node, "'rules'", self._problems), 1):
            rule = self._rule(item, number)
            if rule is None:
                continue
            if rule.name in names:
                self._problems.add(rule.place, f"rule {rule.name!r} is already at {names[rule.name]}")
            names.setdefault(rule.name, rule.place)
            rules.append(rule)
        return tuple(rules)

    def _rule(self, node: Node, number: int) -> Rule | None:
        values = fields.fields(node, "a rule", _RULE_KEYS, self._problems)
        if values is None:
            return None
        name = fields.name(values["name"][1], "a rule's name", self._problems) if "name" in values else f"#{number}"
        decided = self._decision(node, values)
        sources, destinations, at = (self._side(values, key) for key in ("from", "to", "at"))
        egress, ingress = self._direction(values)
        log = "log" in values and bool(fields.boolean(values["log"][1], "'log'", self._problems))
        if name is None or decided is None:
            return None
        verdict, terms = decided
        return Rule(name, verdict, terms, sources, destinations, node.place, at, egress, ingress, log)

    def _decision(self, node: Node, values: Values) -> tuple[Verdict, tuple[Term, ...]] | None:
        """The one verdict of a rule and what it is about."""
        given = [key for key in values if key in _VERDICTS]
        if not given:
            # A key that we do not know (told already) may be the misspelt verdict: one mistake, one message.
            told = isinstance(node, Mapping) and any(key.text not in _RULE_KEYS for key, _ in node.entries)
            if not told:
                self._problems.add(node, f"a rule needs one of {', '.join(_VERDICTS)}")
            return None
        for extra in given[1:]:
            self._problems.add(values[extra][0], f"a rule has one verdict, and this one has {given[0]!r} already")
        return _VERDICTS[given[0]], self._services.of_rule(values[given[0]][1], quoted(given[0]))

    def _side(self, values: Values, key: str) -> Groups:
        return self._groups.of_rule(values[key][1], quoted(key)) if key in values else None

    def _direction(self, values: Values) -> tuple[bool, bool]:
        if "direction" not in values:
            return _DIRECTIONS["both"]
        node = values["direction"][1]
        direction = fields.choice(node, "'direction'", _DIRECTIONS, self._problems)
        return _DIRECTIONS[direction] if direction is not None else _DIRECTIONS["both"]
