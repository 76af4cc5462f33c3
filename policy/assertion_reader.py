"""The `assertions` of a policy: from nodes to `policy.model.Assertion` values. Whether they hold is not asked here."""

from __future__ import annotations

from policy import fields
from policy.groups import GroupTable
from policy.model import Assertion, Groups
from policy.nodes import Mapping, Node, Scalar
from policy.problems import Problems, quoted
from policy.services import Services
from topology.inventory import Place

_KINDS = {"never": False, "always": True}
_KEYS = ("name", *_KINDS, "from", "to")

Values = dict[str, tuple[Scalar, Node]]


class AssertionReader:
    """Reads the assertions of one namespace, one after the other; their names are unique in it."""

    def __init__(self, tenant: str | None, groups: GroupTable, services: Services, problems: Problems) -> None:
        self._tenant = tenant
        self._groups = groups
        self._services = services
        self._problems = problems
        self._names: dict[str, Place] = {}

    def assertion(self, node: Node) -> Assertion | None:
        """One assertion; None if it cannot be told what it says."""
        values = fields.fields(node, "an assertion", _KEYS, self._problems)
        if values is None:
            return None
        name = self._name(node, values)
        kind = self._kind(node, values)
        sources, destinations = self._side(values, "from"), self._side(values, "to")
        if name is None or kind is None:
            return None
        terms = self._services.of_rule(values[kind][1], quoted(kind))
        return Assertion(name, _KINDS[kind], terms, sources, destinations, node.place, self._tenant)

    def _name(self, node: Node, values: Values) -> str | None:
        if "name" not in values:
            self._problems.add(node, "an assertion needs 'name'")
            return None
        name = fields.name(values["name"][1], "an assertion's name", self._problems)
        if name is not None:
            place = values["name"][1].place
            first = self._names.setdefault(name, place)
            if first is not place:  # not by value: an alias says it a second time from the same place
                self._problems.add(place, f"assertion {name!r} is already at {first}")
        return name

    def _kind(self, node: Node, values: Values) -> str | None:
        """The key that says what is asserted."""
        given = [key for key in values if key in _KINDS]
        if not given:
            # A key that we do not know (told already) may be the misspelt one: one mistake, one message.
            if not (isinstance(node, Mapping) and len(node.entries) > len(values)):
                self._problems.add(node, "an assertion needs 'never' or 'always'")
            return None
        for extra in given[1:]:
            self._problems.add(values[extra][0], f"an assertion says one thing, and this one says {given[0]!r} already")
        return given[0]

    def _side(self, values: Values, key: str) -> Groups:
        return self._groups.of_rule(values[key][1], quoted(key)) if key in values else None
