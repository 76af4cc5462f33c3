"""The OVSDB client without a server: what it does among other green threads, and what it says of its failures."""

import subprocess
import sys
from pathlib import Path

import pytest

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


SERVER = """
class Replica:
    def __init__(self, *_): self.change_seqno, self.last_error, self.current = 0, None, {current}
    def run(self): pass
    def wait(self, poller): pass
    def close(self): pass
    def force_reconnect(self): pass
    def is_connected(self): return True
    def is_current(self): return self.current
    def lock_answered(self): return False
ovsdb.Replica = Replica
client = OvsdbClient("unix:nowhere", facts.append, sync_timeout=0.2)
client.start()
with hub.Timeout(20):
    while not facts:
        client._wake()
        hub.sleep(0.05)
print(facts[0].reason)
client.stop()
"""


@pytest.mark.parametrize(
    "current,missing", [(False, "the rows of an Open_vSwitch database"), (True, "whether the lock is ours")]
)
def test_what_the_server_has_not_told_is_named(tmp_path, current, missing):
    done = run(SERVER.replace("{current}", str(current)), tmp_path)
    assert done.stdout == f"the server has not told {missing} within 0.2 s\n"


@pytest.mark.parametrize("error,traced", [("OSError(5, 'broken')", False), ("ssl.SSLError('x')", False),
                                          ("UnicodeError('x')", False), ("KeyError('x')", True)])  # fmt: skip
def test_only_a_defect_has_a_traceback(tmp_path, error, traced):
    done = run(
        f"""
import ssl
def replica(*_):
    raise {error}
ovsdb.Replica = replica
client = OvsdbClient("unix:nowhere", facts.append)
client.start()
while not facts:
    hub.sleep(0.001)
client.stop()
assert facts[0].reason.startswith("the client failed: ")
""",
        tmp_path,
    )
    assert "OVSDB client of unix:nowhere failed: " in done.stderr
    assert ("Traceback" in done.stderr) is traced


@pytest.mark.parametrize(
    "error,said",
    [(None, "no answer from the server"), (-1, "closed by the server"), (111, "Connection refused"),
     (-3, "no address is found for its name (getaddrinfo: -3)"), (9999, "error 9999")],
)  # fmt: skip
def test_why_a_server_is_lost_is_said_in_words(tmp_path, error, said):
    assert run(f"print(ovsdb._describe({error}))", tmp_path).stdout == f"{said}\n"


def test_others_have_their_turn_while_much_is_written(tmp_path):
    done = run(
        """
from topology.breath import moments
class Replica:
    def find(self, table, row_uuid): return None
turns = []
client = OvsdbClient("unix:nowhere", facts.append)
client.write_zones({f"u{number}": number + 1 for number in range(100)})
moments(lambda: turns.append("turn"))
missing = client._requested[0].fill(Replica())
print(len(missing), len(turns))
""",
        tmp_path,
    )
    assert done.stdout == "100 3\n", done.stderr
