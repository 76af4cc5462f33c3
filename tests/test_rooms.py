"""The rooms of the house: nothing imports to the right, and Ryu stays in one of them.

topology <- policy <- ryu_apps; mininet_scenarios and tests may look at all of them.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("topology", "policy", "ryu_apps", "mininet_scenarios")
# What a room may import of ours, and of what is only for the room that runs on Ryu.
MAY = {
    "topology": {"topology"},
    "policy": {"topology", "policy"},
    "ryu_apps": {"topology", "policy", "ryu_apps"},
    "mininet_scenarios": {"topology", "policy", "mininet_scenarios"},
}
FRAMEWORK = {"ryu", "eventlet", "ovs", "webob", "oslo_config", "inotify_simple", "prometheus_client"}
PROGRAM = """
import importlib, sys
for absent in sys.argv[1].split(","):
    sys.modules[absent] = None
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def modules(room):
    for path in sorted((ROOT / room).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path):
    """The first names of all that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_nothing_from_its_right(room):
    forbidden = set(ROOMS) - MAY[room] | (set() if room == "ryu_apps" else FRAMEWORK)
    found = [f"{path.relative_to(ROOT)}: {name}" for path, _ in modules(room) for name in imported(path)]
    assert [line for line in found if line.split(": ")[1] in forbidden] == []


@pytest.mark.parametrize("room", ["topology", "policy"])
def test_a_room_imports_where_ryu_is_absent(room):
    names = [module for _, module in modules(room)]
    absent = FRAMEWORK | (set(ROOMS) - MAY[room])
    command = [sys.executable, "-c", PROGRAM, ",".join(absent), *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")


# What decides is pure: a test of it is a plain function call.
PURE = [
    "engine", "session", "status", "facts", "ovsdb_facts", "policy_places", "frames", "rejections", "reports.reports",
]  # fmt: skip


@pytest.mark.parametrize("module", PURE)
def test_what_decides_imports_where_ryu_is_absent(module):
    command = [sys.executable, "-c", PROGRAM, ",".join(FRAMEWORK), f"ryu_apps.{module}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")
