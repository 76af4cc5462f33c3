"""The schema that editors use, and policies as it sees them: what the YAML 1.2 core schema makes of a file."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from policy.nodes import Kind, Mapping, Scalar, Sequence
from policy.problems import Problems
from policy.source import Budget, read

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "policy.schema.json").read_text())
_VALIDATOR = Draft202012Validator(SCHEMA)
_AS_VALUE = {
    Kind.TEXT: str,
    Kind.INTEGER: lambda text: int(text, 0) if text.startswith(("0x", "0o")) else int(text),
    Kind.FLOAT: lambda text: float(text) if text[-1].isdigit() else 0.5,
    Kind.BOOLEAN: lambda text: text.lower() == "true",
    Kind.NULL: lambda _: None,
}


def value_of(node):
    """A node as JSON would have it."""
    if isinstance(node, Scalar):
        return _AS_VALUE[node.kind](node.text)
    if isinstance(node, Sequence):
        return [value_of(item) for item in node.items]
    assert isinstance(node, Mapping)
    return {key.text: value_of(value) for key, value in node.entries}


def complaints(text):
    """What an editor would say about a policy file, each with the path of what it is about."""
    problems = Problems()
    root = read("p.yaml", text if isinstance(text, bytes) else text.encode(), Budget(), problems)
    assert not problems
    if root is None:
        return []
    return [f"{error.json_path}: {error.message[:300]}" for error in _VALIDATOR.iter_errors(value_of(root))]
