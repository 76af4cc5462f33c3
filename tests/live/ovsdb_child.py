"""Runs an OVSDB client in a monkey-patched process for `test_ovsdb`: commands on stdin, facts on stdout, pickled.

Arguments: the remote, the write timeout in seconds and, for ``ssl:``, private key, certificate and authority.
"""

import os
import sys
import time
from pathlib import Path

from ryu.lib import hub

hub.patch()

import base64  # noqa: E402
import logging  # noqa: E402
import pickle  # noqa: E402
import uuid  # noqa: E402

from eventlet.greenio import GreenPipe  # noqa: E402

from ryu_apps.ovsdb import OvsdbClient, TlsFiles  # noqa: E402


def say(value):
    os.write(1, base64.b64encode(pickle.dumps(value)) + b"\n")


def open_files():
    """How many descriptors there are, not counting the one that lists them."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1


def main():
    logging.basicConfig(level=logging.INFO)
    remote, write_timeout, *tls = sys.argv[1:]
    client = OvsdbClient(
        remote,
        say,
        tls=TlsFiles(*tls) if tls else None,
        probe_interval=1.0,
        write_timeout=float(write_timeout),
        sync_timeout=2.0,
    )
    commands = GreenPipe(sys.stdin.buffer.raw, "r")
    uuid.uuid1()  # libuuid keeps a file of its own open from here on
    before = open_files()
    client.start()
    for line in commands:
        command, arguments = eval(line)
        if command == "cpu":
            say(("cpu", time.process_time()))
        elif command == "stop":
            client.stop()
            say(("stopped", open_files() - before))
        else:
            getattr(client, command)(*arguments)


main()
