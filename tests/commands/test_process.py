"""The command as a process: exit status, streams, pipes, signals, and errors that nobody has foreseen."""

import contextlib
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

PORTCULLIS = [sys.executable, "-m", "policy.cli"]
BROKEN = "import policy.cli, policy.commands.policies as p\n{patch}\npolicy.cli.main()"


def run(*words, **more):
    return subprocess.run([*PORTCULLIS, *words], capture_output=True, text=True, timeout=60, **more)


def test_alone_it_prints_help(shop):
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("check", "explain", "run", "status", "topology"):
        assert f"\n  {command} " in done.stdout


def test_version(shop):
    assert run("--version").stdout == f"portcullis {version('portcullis')}\n"


def test_streams_and_statuses(shop):
    words = ("explain", "shop.yaml", "--from", "web-1", "--to", "db-1", "--service")
    allowed, denied, wrong = run(*words, "tcp/3306"), run(*words, "tcp/1"), run(*words, "tcp")
    assert (allowed.returncode, denied.returncode, wrong.returncode) == (0, 1, 2)
    assert allowed.stdout.startswith("allow ")
    assert (allowed.stderr, denied.stderr, wrong.stdout) == ("", "", "")
    assert "more than one connection" in wrong.stderr


def test_a_reader_that_goes_is_no_trouble(shop):
    line = " cookie=0x1, table=0, actions=drop\n"
    command = (
        f"{sys.executable} -m policy.cli explain shop.yaml --flow - < flows.txt | head -1; echo ${{PIPESTATUS[0]}}"
    )
    (shop / "flows.txt").write_text(line * 20_000)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [line.rstrip("\n"), "141"]
    assert done.stderr == ""


def test_a_full_disk_is_told_in_a_line(shop):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*PORTCULLIS, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "portcullis: [Errno 28] No space left on device\n"


def test_ctrl_c_is_quiet(shop):
    with subprocess.Popen(
        [*PORTCULLIS, "explain", "shop.yaml", "--flow", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        process.stdin.write(b"x\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"x\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b""


def broken(patch, *words, **environment):
    """The command with something broken in it."""
    return subprocess.run(
        [sys.executable, "-c", BROKEN.format(patch=patch), *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )


RAISES = "def load(path): raise KeyError('\\x1b[31m')\np.load = load"


def test_an_unexpected_error_is_one_line(shop):
    done = broken(RAISES, "check", "shop.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("portcullis: unexpected error: KeyError: ")
    assert "PORTCULLIS_DEBUG=1" in line
    assert "\x1b" not in line


def test_the_traceback_can_be_had(shop):
    done = broken(RAISES, "check", "shop.yaml", PORTCULLIS_DEBUG="1")
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_that_the_terminal_cannot_show(shop, encoding):
    (shop / "ж").mkdir()
    (shop / "ж/ж.yaml").write_text("version: 1\ngroups: {ж: 1}\n")
    done = subprocess.run(
        [*PORTCULLIS, "check", "ж"], capture_output=True, timeout=60, env={**os.environ, "PYTHONIOENCODING": encoding}
    )
    assert done.returncode == 1
    assert b"\\u0436/\\u0436.yaml:2:10: error:" in done.stderr


def test_colours_on_a_terminal_only(shop):
    words = ["explain", "shop.yaml", "--from", "web-1", "--to", "db-1", "--service", "tcp/3306"]
    assert "\x1b" not in run(*words).stdout
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    for more, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        shown = on_a_terminal([*PORTCULLIS, *words], {**environment, "TERM": "xterm", **more})
        assert ("\x1b[1;32mallow" in shown) is coloured


def on_a_terminal(command, environment):
    """What a command writes to a terminal."""
    leader, follower = os.openpty()
    try:
        process = subprocess.run(command, stdout=follower, timeout=60, env=environment)
    finally:
        os.close(follower)
    assert process.returncode == 0
    shown = b""
    # Once nobody has its other end open, a terminal tells what is left in it, and then an error (pty(7)).
    with os.fdopen(leader, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
        while piece := terminal.read(10_000):
            shown += piece
    return shown.decode()


def test_it_starts_quickly_and_without_what_it_does_not_need(shop):
    code = "import sys, policy.cli; print(*sorted({'ryu', 'eventlet', 'ryu_apps', 'networkx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("\n", "")
