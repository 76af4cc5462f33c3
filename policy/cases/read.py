"""Case files: from YAML to `Case` values, or to all that is wrong with them, each mistake with its place.

Read with the loader's own tools, so the same bounds and the same words hold for case files as for policies.
"""

from __future__ import annotations

from collections.abc import Mapping

from policy import fields
from policy.cases.case import Asked, Case, known_rules
from policy.evaluate import Connection
from policy.model import Document, Verdict
from policy.nodes import Mapping as MappingNode
from policy.nodes import Node, Scalar
from policy.problems import Problems, quoted
from policy.question import UsageError, parse_question
from policy.sections import VERSION
from policy.source import Budget, read
from topology.inventory import Place
from topology.vnic import offline_vnics

FILE_KEYS = ("version", "cases")
CASE_KEYS = ("name", "from", "to", "service", "verdict", "rule", "source_port", "network")
REQUIRED = ("from", "to", "service", "verdict")
# What a connection as a whole can come to (`pass` is a rule's word only).
VERDICTS = tuple(verdict.value for verdict in Verdict if verdict is not Verdict.PASS)
MAX_CASES = 100_000
_HIGHEST_PORT = 65535
_MAX_RULE = 200  # characters: a tenant's, a policy's and a rule's name
# Questions that are right but for the one part under suspicion.
_SOME_ADDRESSES = ("192.0.2.1", "2001:db8::1")
_SOME_SERVICE = "tcp/1"

Values = dict[str, tuple[Scalar, Node]]


def read_cases(files: Mapping[str, bytes], document: Document, problems: Problems) -> tuple[Case, ...]:
    """The cases of files of these names and contents, in their order; what is wrong is noted in ``problems``.

    Raises `Enough` like `Problems` do.
    """
    reader = _Reader(document, problems)
    budget = Budget()
    for name in sorted(files):
        root = read(name, files[name], budget, problems)
        if root is not None:
            reader.file(root)
    return tuple(reader.cases)


class _Reader:
    def __init__(self, document: Document, problems: Problems) -> None:
        self._document = document
        self._problems = problems
        # Made once: in a big inventory it takes longer than answering.
        self._vnics = offline_vnics(document.inventory)
        self._rules = known_rules(document)
        self._names: dict[tuple[str, str], Place] = {}
        self.cases: list[Case] = []

    def file(self, root: MappingNode) -> None:
        """Takes the cases of one file."""
        found = fields.fields(root, "a case file", FILE_KEYS, self._problems)
        if found is None:
            return
        if "version" in found:
            fields.integer(found["version"][1], "a case file's 'version'", VERSION, VERSION, self._problems)
        if "cases" not in found:
            if len(found) == len(root.entries):
                self._problems.add(root, "a case file needs 'cases'")
            return
        for item in fields.items(found["cases"][1], "'cases'", self._problems):
            if len(self.cases) >= MAX_CASES:
                self._problems.stop(item, f"more than {MAX_CASES:,} cases")
            case = self._case(item)
            if case is not None:
                self.cases.append(case)

    def _case(self, node: Node) -> Case | None:
        values = fields.fields(node, "a case", CASE_KEYS, self._problems)
        if values is None:
            return None
        missing = [key for key in REQUIRED if key not in values]
        # A key that we do not know (told already) may be a misspelt one of these: one mistake, one message.
        if missing and isinstance(node, MappingNode) and len(values) == len(node.entries):
            self._problems.add(node, f"a case needs {' and '.join(map(repr, missing))}")
        asked = self._asked(values)
        verdict = self._verdict(values)
        rule = self._rule(values)
        name = self._name(values, asked, node)
        if asked is None or verdict is None or name is None:
            return None
        connection = self._connection(asked, values, node)
        if connection is None:
            return None
        return Case(name, asked, connection, verdict, rule, node.place)

    def _asked(self, values: Values) -> Asked | None:
        words = {key: self._text(values, key) for key in ("from", "to", "service", "network")}
        port = None
        if "source_port" in values:
            port = fields.integer(values["source_port"][1], "'source_port'", 0, _HIGHEST_PORT, self._problems)
            if port is None:
                return None
        source, destination, service = words["from"], words["to"], words["service"]
        if source is None or destination is None or service is None or ("network" in values and not words["network"]):
            return None
        return Asked(source, destination, service, port, words["network"])

    def _text(self, values: Values, key: str) -> str | None:
        return fields.text(values[key][1], repr(key), self._problems) if key in values else None

    def _name(self, values: Values, asked: Asked | None, node: Node) -> str | None:
        """What the case is called: reports need something to call it, and no two of a file the same."""
        if "name" not in values:
            return None if asked is None else f"{asked} (line {node.line})"
        name = self._text(values, "name")
        if name is not None:
            place = values["name"][1].place
            first = self._names.setdefault((place.file, name), place)
            if first is not place:
                self._problems.add(place, f"a case is already called {quoted(name)}, at line {first.line}")
        return name

    def _verdict(self, values: Values) -> Verdict | None:
        if "verdict" not in values:
            return None
        word = fields.choice(values["verdict"][1], "'verdict'", VERDICTS, self._problems)
        return None if word is None else Verdict(word)

    def _rule(self, values: Values) -> str | None:
        if "rule" not in values:
            return None
        node = values["rule"][1]
        rule = fields.text(node, "'rule'", self._problems, longest=_MAX_RULE)
        if rule is None:
            return None
        decides = self._rules.get(rule)
        if decides is None:
            hint = self._problems.nearest(rule, self._rules) or "; write POLICY/RULE, builtin/NAME or default"
            self._problems.add(node, f"the policy has no rule {quoted(rule)}{hint}")
        elif not decides:
            self._problems.add(node, f"the policy of rule {quoted(rule)} is in audit mode: its rules never decide")
        return rule

    def _connection(self, asked: Asked, values: Values, node: Node) -> Connection | None:
        try:
            return self._question(asked)
        except UsageError as error:
            key = self._at_fault(asked)
            where = values[key][1] if key is not None else node
            self._problems.add(where, str(error).replace(" (or ask for the matrix)", ""))
            return None

    def _at_fault(self, asked: Asked) -> str | None:
        """The key whose value makes the question wrong whatever the others say; None if they only do not fit."""
        end, service = _SOME_ADDRESSES[0], _SOME_SERVICE
        suspects = {
            "network": [Asked(end, end, service, network=asked.network)],
            "from": [Asked(asked.source, asked.source, service)],
            "to": [Asked(asked.destination, asked.destination, service)],
            "service": [Asked(end, end, asked.service) for end in _SOME_ADDRESSES],
            "source_port": [Asked(end, end, asked.service, asked.source_port) for end in _SOME_ADDRESSES],
        }
        for key, questions in suspects.items():
            if not any(self._answerable(question) for question in questions):
                return key
        return None

    def _answerable(self, asked: Asked) -> bool:
        try:
            self._question(asked)
        except UsageError:
            return False
        return True

    def _question(self, asked: Asked) -> Connection:
        return parse_question(
            self._document,
            asked.source,
            asked.destination,
            asked.service,
            source_port=asked.source_port,
            network=asked.network,
            vnics=self._vnics,
        )
