"""The `groups` of a policy, and whatever stands where a rule says who: from nodes to `policy.model.Group` values.

A group may name other groups; here the names are replaced by the parts they mean, each part once. So a group is never
more than two levels deep, and groups that name each other criss-cross cannot make a value that takes ages to walk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from policy import fields
from policy.model import Group, Groups
from policy.nodes import Mapping as MappingNode
from policy.nodes import Node, Scalar
from policy.order import cycle_text, in_order
from policy.problems import PROVIDED, Problems, quoted
from policy.selectors import MAX_LENGTH, Selector, SelectorError, parse_selector
from policy.speaker import Speaker, own_name, provided
from topology.addresses import Prefix, parse_prefix

# Parts in all groups and rules together, names replaced by what they mean.
MAX_PARTS = 1_000_000
MAX_SELECTOR_TEXT = 2**19  # characters of all selectors together, each text counted once
_KEYS = ("match", "cidrs", "except", "vms", "any_of", "scope", "shared")
_SAYING_WHO = frozenset({"match", "cidrs", "vms", "any_of"})
_NARROWING_CIDRS = ("except", "scope")
# What might be a name in somebody else's namespace, and is no address.
_FOREIGN = re.compile(r"[\w.-]+/[A-Za-z_][\w.-]*", re.ASCII)
# `any` where it stands among other groups: every vNIC and every address.
ANY = Group(selector=parse_selector("all()"), cidrs=(parse_prefix("0.0.0.0/0"), parse_prefix("::/0")))


@dataclass(slots=True)
class _Draft:
    """A group before the groups it names are known: its own part, and names or inline groups beside it."""

    own: Group
    parts: list[str | _Draft]

    def names(self) -> list[str]:
        """All groups named, at any depth (which the nesting of the file bounds)."""
        found: list[str] = []
        for part in self.parts:
            found.extend([part] if isinstance(part, str) else part.names())
        return found


@dataclass(slots=True)
class GroupLimits:
    """What the groups of all namespaces have used of their bounds, and the selectors read so far by their text."""

    parts: int = 0
    selector_text: int = 0
    selectors: dict[str, Selector] = field(default_factory=dict)


class GroupTable:
    """The groups of one namespace. Made once all of them are known; rules ask it for their sides.

    ``shared``: the provider's, by the names by which a tenant may call them. ``groups`` are the namespace's own, and
    ``offered`` those of them that it shares.
    """

    def __init__(
        self,
        definitions: Mapping[str, tuple[Scalar, Node]],
        speaker: Speaker,
        shared: Mapping[str, Group],
        limits: GroupLimits,
        problems: Problems,
    ) -> None:
        self._problems = problems
        self._speaker = speaker
        self._shared = shared
        self._known = definitions
        self._limits = limits
        self.groups: dict[str, Group] = {}
        drafts = {
            name: self._draft(node, f"group {quoted(name)}", name, key) for name, (key, node) in definitions.items()
        }
        order, cycles = in_order({name: draft.names() for name, draft in drafts.items()})
        for cycle in cycles:
            problems.add(definitions[cycle[0]][0], f"groups in a cycle: {cycle_text(cycle)}")
        for name in order:
            self.groups[name] = self._group(drafts[name], definitions[name][0])

    @cached_property
    def offered(self) -> dict[str, Group]:
        return {provided(name): group for name, group in self.groups.items() if group.shared}

    def of_rule(self, node: Node, what: str) -> Groups:
        """The groups that a rule's (or assertion's) `from`, `to` or `at`, or a limit's `for`, says; None is any."""
        parts = [self._part(item, what) for item in fields.one_or_more(node, what, self._problems)]
        groups: list[Group] = []
        for part in parts:
            if part == "any":
                return None
            if isinstance(part, str):
                groups.extend(self._named(part))
            elif part is not None:
                groups.append(self._group(part, node))
        self._spend(len(groups), node)
        return tuple({id(group): group for group in groups}.values())

    def _part(self, node: Node, what: str) -> str | _Draft | None:
        """One item of a list of groups: `any`, the name of a group, or an inline group. None if it is wrong."""
        if isinstance(node, MappingNode):
            return self._draft(node, f"the group in {what}", None, node)
        name = fields.text(node, what, self._problems)
        if name is None or name == "any" or name in self._known or name in self._shared:
            return name
        if name.startswith(PROVIDED):
            if self._speaker.tenant is None:
                self._problems.add(node, own_name(name))
            else:
                self._problems.dangling(node, "group", name, self._shared)
        elif hint := self._meant(name):
            self._problems.add(node, f"{quoted(name)} is not the name of a group; {hint}")
        else:
            self._problems.dangling(node, "group", name, self._known, self._shared)
        return None

    def _named(self, name: str) -> tuple[Group, ...]:
        """The group of a name that was found right; none if it stands in a cycle (it was told)."""
        group = self._shared[name] if name in self._shared else self.groups.get(name)
        return () if group is None else (group,)

    def _meant(self, name: str) -> str:
        """What the operator may have meant by something that cannot be, or is not, a group's name."""
        if name in self._speaker.vms:
            return f"for the VM write {{vms: {name}}}"
        if _FOREIGN.fullmatch(name):
            return "only tenants name what is not their own, and only what the provider shares: provider/NAME"
        if any(character in name for character in "=() "):
            return "a selector stands in {match: …}, in quotes if it has commas"
        if "/" in name or ":" in name or name.replace(".", "").isdigit():
            return f"addresses stand in {{cidrs: …}}: {{cidrs: {quoted(name)}}}"
        return ""

    def _draft(self, node: Node, what: str, name: str | None, where: Node) -> _Draft:
        """Reads one group's mapping; ``where`` it begins."""
        nothing = _Draft(Group(name, tenant=self._speaker.tenant, place=where.place), [])
        found = fields.fields(node, what, self._speaker.keys(_KEYS), self._problems, self._speaker.barred(_KEYS))
        if found is None:
            return nothing
        values = {key: value for key, (_, value) in found.items()}
        narrowing = [key for key in _NARROWING_CIDRS if key in values]
        if "cidrs" not in values:
            for key in narrowing:
                self._problems.add(found[key][0], f"{what}: {key!r} narrows 'cidrs', and there are none")
        # Where a key was refused, the group may well have been meant to say something: one mistake, one message.
        all_known = isinstance(node, MappingNode) and len(node.entries) == len(found)
        if all_known and not narrowing and not _SAYING_WHO & values.keys():
            self._problems.add(node, f"{what} is empty: it needs 'match', 'cidrs', 'vms' or 'any_of'")
        own = Group(
            name,
            selector=self._selector(values["match"], what) if "match" in values else None,
            cidrs=self._prefixes(values.get("cidrs"), f"{what}: 'cidrs'"),
            excepts=self._prefixes(values.get("except"), f"{what}: 'except'"),
            vms=self._vm_names(values["vms"], what) if "vms" in values else (),
            scope=self._scope(values["scope"], what) if "scope" in values else None,
            tenant=self._speaker.tenant,
            # A wrong word here is told once, and not again wherever a tenant names the group.
            shared="shared" in values
            and fields.boolean(values["shared"], f"{what}: 'shared'", self._problems) is not False,
            place=where.place,
        )
        parts: list[str | _Draft] = []
        if "any_of" in values:
            for item in fields.one_or_more(values["any_of"], f"{what}: 'any_of'", self._problems):
                part = self._part(item, f"{what}: 'any_of'")
                parts.extend([] if part is None else [part])
        return _Draft(own, parts)

    def _selector(self, node: Node, what: str) -> Selector | None:
        """The selector of a group; each text is read once, however often it stands in the policy."""
        written = fields.text(node, f"{what}: 'match'", self._problems, longest=MAX_LENGTH, lines=True)
        if written is None:
            return None
        known = self._limits.selectors.get(written)
        if known is not None:
            return known
        self._limits.selector_text += len(written)
        if self._limits.selector_text > MAX_SELECTOR_TEXT:
            self._problems.stop(node, f"the selectors have more than {MAX_SELECTOR_TEXT:,} characters together")
        assert isinstance(node, Scalar)
        try:
            selector = parse_selector(written)
        except SelectorError as error:
            self._problems.add(node.place_of(error.offset), f"{what}: selector: {error}")
            return None
        self._limits.selectors[written] = selector
        return selector

    def _prefixes(self, node: Node | None, what: str) -> tuple[Prefix, ...]:
        return () if node is None else fields.prefixes(node, what, self._problems)

    def _scope(self, node: Node, what: str) -> str | None:
        name = fields.text(node, f"{what}: 'scope'", self._problems)
        if name is not None and name not in self._speaker.scopes:
            self._problems.dangling(node, "address scope", name, self._speaker.scopes)
        return name

    def _vm_names(self, node: Node, what: str) -> tuple[str, ...]:
        names: list[str] = []
        kind = "VM" if self._speaker.tenant is None else f"VM of tenant {self._speaker.tenant!r}"
        for item in fields.one_or_more(node, f"{what}: 'vms'", self._problems):
            name = fields.text(item, f"{what}: 'vms'", self._problems)
            if name is not None and name not in self._speaker.vms:
                self._problems.dangling(item, kind, name, self._speaker.vms)
            elif name is not None:
                names.append(name)
        return tuple(dict.fromkeys(names))

    def _group(self, draft: _Draft, where: Node) -> Group:
        """The finished group, the groups it names replaced by their parts."""
        parts: dict[int, Group] = {}  # by identity: comparing would walk each group again
        for part in draft.parts:
            for leaf in self._leaves(part, where):
                parts[id(leaf)] = leaf
        self._spend(1 + len(parts), where)
        return replace(draft.own, any_of=tuple(parts.values())) if parts else draft.own

    def _leaves(self, part: str | _Draft, where: Node) -> tuple[Group, ...]:
        """The groups without `any_of` that a part means. A name that stands in a cycle adds nothing (it was told)."""
        if part == "any":
            return (ANY,)
        groups = self._named(part) if isinstance(part, str) else (self._group(part, where),)
        return tuple(leaf for group in groups for leaf in _parts(group))

    def _spend(self, parts: int, where: Node) -> None:
        self._limits.parts += parts
        if self._limits.parts > MAX_PARTS:
            self._problems.stop(where, f"groups and rules have more than {MAX_PARTS:,} parts, names replaced")


def _parts(group: Group) -> tuple[Group, ...]:
    """The groups without `any_of` that a finished group is the union of."""
    if not group.any_of:
        return (group,)
    # What the group says itself, under no name: the name means all of it.
    own = replace(group, name=None, any_of=())
    says_something = own.selector is not None or own.cidrs or own.vms
    return (own, *group.any_of) if says_something else group.any_of
