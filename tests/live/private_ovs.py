"""A private Open vSwitch for a test: its own folder, sockets and database; nothing of the host's is touched.

The datapath is OVS's dummy one: bridges with ``datapath_type=dummy`` and interfaces of type ``dummy`` need no devices.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

# Where OVS's own programs look for it, too (ovs-vsctl(8)); the programs themselves are found by PATH.
SCHEMA = Path(os.environ.get("OVS_PKGDATADIR", "/usr/share/openvswitch")) / "vswitch.ovsschema"
DEADLINE = 60.0


class PrivateOvs:
    """Starts on entry, stops its own processes by their ids on exit, and removes its folder."""

    def __init__(self, *remotes: str, options: tuple[str, ...] = (), schema: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pc-ovs-"))
        self.socket = self.folder / "db.sock"
        self.remote = f"unix:{self.socket}"
        self._environment = {
            **os.environ,
            "OVS_RUNDIR": str(self.folder),
            "OVS_LOGDIR": str(self.folder),
            "OVS_DBDIR": str(self.folder),
        }
        self._remotes = (f"punix:{self.socket}", *remotes)
        self._options = options
        self._schema = schema or SCHEMA
        self.server: subprocess.Popen | None = None
        self._switch: subprocess.Popen | None = None

    def __enter__(self) -> PrivateOvs:
        try:
            subprocess.run(["ovsdb-tool", "create", self.folder / "conf.db", self._schema], check=True)
            self.start_server()
            self._switch = self._start("ovs-vswitchd", "--disable-system", "--enable-dummy", self.remote)
            self.vsctl("init")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._switch, self.server):
            self._stop(process)
        shutil.rmtree(self.folder)

    def start_server(self) -> None:
        remotes = [f"--remote={remote}" for remote in self._remotes]
        self.server = self._start("ovsdb-server", *remotes, *self._options, self.folder / "conf.db")
        self.wait_for(self.socket.exists, "ovsdb-server's socket")

    def stop_server(self) -> None:
        self._stop(self.server)
        self.socket.unlink(missing_ok=True)

    def transact(self, *operations: dict) -> None:
        """A transaction in OVSDB's own words (RFC 7047, 5.2), for what `ovs-vsctl` may not know."""
        command = ["ovsdb-client", "transact", self.remote, json.dumps(["Open_vSwitch", *operations])]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        assert done.returncode == 0 and '"error"' not in done.stdout, done.stdout + done.stderr

    def convert(self, schema: Path) -> None:
        """The database of a server that is stopped gets another schema."""
        subprocess.run(["ovsdb-tool", "convert", self.folder / "conf.db", schema], check=True)

    def convert_online(self, schema: Path) -> None:
        """The database of a running server gets another schema."""
        subprocess.run(["ovsdb-client", "convert", self.remote, schema], check=True, env=self._environment)

    def freeze_server(self) -> None:
        self.server.send_signal(signal.SIGSTOP)

    def thaw_server(self) -> None:
        self.server.send_signal(signal.SIGCONT)

    def vsctl(self, *command: str) -> str:
        """``ovs-vsctl`` on the private database; words are split at blanks. Does not wait for ovs-vswitchd."""
        words = [word for part in command for word in part.split()]
        done = subprocess.run(
            ["ovs-vsctl", f"--db={self.remote}", "--no-wait", f"--timeout={DEADLINE:.0f}", *words],
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def log_of_server(self) -> str:
        return (self.folder / "ovsdb-server.log").read_text()

    def wait_for(self, condition, what: str) -> None:
        """Waits for something that has no event to wait for, and fails with its name after `DEADLINE` seconds."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come within {DEADLINE:g} s"
            time.sleep(0.02)

    def _start(self, program: str, *arguments: object) -> subprocess.Popen:
        return subprocess.Popen(
            [
                program,
                f"--unixctl={self.folder / program}.ctl",
                f"--log-file={self.folder / program}.log",
                "--verbose=console:off",
                *map(str, arguments),
            ],
            env=self._environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _stop(self, process: subprocess.Popen | None) -> None:
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
