"""The demonstration as its users start it: without a terminal, with the prompt, and ended by Ctrl-C at any moment."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mininet_scenarios.guest import ROOT
from mininet_scenarios.lab import leftovers

COMMAND = [sys.executable, "mininet_scenarios/demo.py"]


@contextmanager
def demonstration(*options: str) -> Iterator["subprocess.Popen[str]"]:
    """The demonstration running, in a process group of its own as at a terminal; nothing of it may stay."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    demo = subprocess.Popen([*COMMAND, *options], cwd=ROOT, text=True, process_group=0, **pipes)
    try:
        yield demo
    finally:
        demo.kill()
        demo.wait()
        left = [thing for thing in leftovers.everything() if thing.maker == demo.pid]
        leftovers.sweep()
        assert not left, "left behind: " + "; ".join(map(str, left))


def test_it_ends_by_itself_and_says_that_all_is_well(clean_machine):
    with demonstration() as demo:
        said, _ = demo.communicate(timeout=110)
    assert demo.returncode == 0, said
    assert "Everything went as the policy says" in said
    assert said.count("All as the policy wants.") == 6
    assert "\x1b" not in said, "no colours where nobody sees them"


def test_the_prompt_takes_commands_and_survives_a_broken_policy(clean_machine):
    with demonstration("--cli") as demo:
        policy = Path(heard_until(demo, "watches the policy in").split()[-1])
        command(demo, "try client web1 tcp/443")
        said = heard_until(demo, "called end", times=2)
        assert said.count("connected after") == 2, said
        assert "allow, shop/customers (shop.yaml:6, tier application)" in said
        (policy / "broken.yaml").write_text("groups: oops\n")
        command(demo, "matrix tcp/8080")
        assert "broken.yaml:1:9" in heard_until(demo, "broken.yaml")
        (policy / "broken.yaml").unlink()
        command(demo, "matrix tcp/8080")
        assert "All as the policy wants." in heard_until(demo, "connections: ")
        command(demo, "exit")
        demo.communicate(timeout=30)
        assert demo.returncode == 0


def command(demo: "subprocess.Popen[str]", line: str) -> None:
    assert demo.stdin is not None
    demo.stdin.write(line + "\n")
    demo.stdin.flush()


def heard_until(demo: "subprocess.Popen[str]", words: str, times: int = 1) -> str:
    """All that is said until a line has the words; pytest's time limit is the limit."""
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        times -= words in line
        if times == 0:
            return said
    raise AssertionError(f"it ended without saying {words!r}:\n{said}")


@pytest.mark.parametrize("moment", ["Starting twelve hosts", "In force after", "tcp/8080", "streaming"])
def test_it_leaves_nothing_when_interrupted(moment, clean_machine):
    with demonstration() as demo:
        heard_until(demo, moment)
        os.killpg(demo.pid, signal.SIGINT)
        rest, _ = demo.communicate(timeout=30)
        assert demo.returncode == 130, rest
        assert "everything has been taken away" in rest
