"""This room knows nothing of the controller, of OVSDB's client or of the policy."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.stem for path in (ROOT / "topology").glob("*.py"))

PROGRAM = """
import importlib, sys
for absent in ("ryu", "eventlet", "ovs", "policy", "ryu_apps"):
    sys.modules[absent] = None
for module in sys.argv[1:]:
    importlib.import_module("topology" if module == "__init__" else "topology." + module)
"""


def test_it_imports_where_the_controller_is_absent():
    assert "join" in MODULES
    command = [sys.executable, "-c", PROGRAM, *MODULES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (0, "")
