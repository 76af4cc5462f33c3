"""Sentences of the language that other parts' tests hold: those tests must be there, and not be skipped."""

import ast
from pathlib import Path

TESTS = Path(__file__).parents[1]


def check_exists(test):
    """There is a test of this name (`folder/file.py::test_name`)."""
    file, _, name = test.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    (found,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)
    assert "skip" not in " ".join(map(ast.unparse, found.decorator_list))
