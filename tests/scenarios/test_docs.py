"""The page of the scenarios: its example is a scenario, and its commands are there."""

import re
import subprocess
import sys

from mininet_scenarios.guest import ROOT

PAGE = (ROOT / "docs/scenarios.md").read_text()


def test_the_example_of_the_page_holds(clean_machine, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    scenario = tmp_path / "example.py"
    scenario.write_text(code)
    done = subprocess.run([sys.executable, scenario], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 1 chapters hold" in done.stdout


def test_the_page_names_every_scenario():
    named = set(re.findall(r"mininet_scenarios/(\w+)\.py", PAGE))
    scenarios = {path.stem for path in (ROOT / "mininet_scenarios").glob("*.py") if "CHAPTERS" in path.read_text()}
    assert scenarios <= named
