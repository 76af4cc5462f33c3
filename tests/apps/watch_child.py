"""Runs a `PolicyWatch` in a process of its own, patched as ryu-manager does it, and prints what it emits.

Each line is JSON: an outcome, or the answer to a line of stdin: ``check``, ``writing``, ``cpu``, ``pester``.
A second argument is the least number of seconds that a load takes; its beginning is told then. A third one is the quiet
that the watch waits for, a fourth one how long it waits before it says so in the log, a fifth one the short quiet.
"""

from eventlet import monkey_patch

monkey_patch()

import json  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from eventlet import patcher, tpool  # noqa: E402
from ryu.lib import hub  # noqa: E402

from ryu_apps import policy_watch  # noqa: E402
from ryu_apps.facts import PolicyLoaded  # noqa: E402
from ryu_apps.policy_watch import PolicyWatch  # noqa: E402


def say(**what):
    print(json.dumps(what), flush=True)


def emit(fact):
    if isinstance(fact, PolicyLoaded):
        rules = [rule.name for policy in fact.document.policies for rule in policy.rules]
        say(loaded=rules)
    else:
        say(refused=[str(problem) for problem in fact.problems], missing=fact.missing)


def slow(seconds):
    """Loads that take their time, in which something can happen."""
    load = policy_watch.Loader.load

    def slowly(loader, path):
        try:
            return load(loader, path)
        finally:
            say(loading=True)
            patcher.original("time").sleep(seconds)

    policy_watch.Loader.load = slowly


def pester(watch):
    """Many who ask again and again, and do not wait for long."""

    def one():
        for _ in range(50):
            watch.check(0.02)

    hub.joinall([hub.spawn(one) for _ in range(20)])
    say(pestered=True)


def main():
    if len(sys.argv) > 2:
        slow(float(sys.argv[2]))
    if len(sys.argv) > 3:
        policy_watch.SETTLE = float(sys.argv[3])
    if len(sys.argv) > 4:
        policy_watch.RESTLESS = float(sys.argv[4])
    if len(sys.argv) > 5:
        policy_watch.QUICK = float(sys.argv[5])
    watch = PolicyWatch(Path(sys.argv[1]), emit)
    watch.start()
    # Reading must not stop the watch: in a real thread.
    commands = tpool.Proxy(sys.stdin)
    while line := commands.readline().strip():
        if line == "check":
            watch.check(10)
            say(checked=True)
        elif line == "writing":
            say(writing=list(watch.writing))
        elif line == "pester":
            hub.spawn(pester, watch)
        elif line == "cpu":
            used = resource.getrusage(resource.RUSAGE_SELF)
            say(cpu=used.ru_utime + used.ru_stime)


main()
