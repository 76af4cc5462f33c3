"""The OVSDB client without a server: what it does among other green threads, and what it says of its failures."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAD = """
from eventlet import monkey_patch
monkey_patch()
import logging
logging.basicConfig()
from ryu.lib import hub
from ryu_apps import ovsdb
from ryu_apps.ovsdb import OvsdbClient
facts = []
"""


def run(program, folder):
    command = [sys.executable, "-W", "ignore", "-c", HEAD + program]
    here = {"cwd": folder, "env": {"PYTHONPATH": str(ROOT)}}
    done = subprocess.run(command, **here, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done


def test_nobody_else_runs_while_the_client_is_woken(tmp_path):
    """Whoever ran then might end the client, and the wake-up would be written into a closed pipe, or another file."""
    done = run(
        """
client = OvsdbClient("unix:nowhere", facts.append)
client.start()
hub.sleep(0.1)
others = []
hub.spawn(others.append, "ran")
client.set_bridge("u")
print(others)
hub.sleep(0)
print(others)
hub.spawn(others.append, "again")
client._take_wake()
print(others)
client.stop()
""",
        tmp_path,
    )
    assert done.stdout == "[]\n['ran']\n['ran']\n", done.stderr
