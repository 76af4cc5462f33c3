"""What a laboratory has left in the machine: namespaces, devices, processes, files. There should be nothing.

Run as a command it removes what dead processes have left: `python -m mininet_scenarios.lab.leftovers`.
"""

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mininet_scenarios.lab.names import is_alive, maker_of, mark
from mininet_scenarios.lab.ovs import end_process
from mininet_scenarios.lab.shell import CommandError, run


@dataclass(frozen=True, order=True)
class Leftover:
    """One thing with a name of ours: kind, name, the process that made it, and how to say it to a reader."""

    kind: str
    name: str
    maker: int

    def __str__(self) -> str:
        return f"{self.kind} {self.name} (made by process {self.maker})"


def everything() -> list[Leftover]:
    """Everything in the machine that bears a mark of ours, whoever made it."""
    found = [("namespace", path.name) for path in _entries("/run/netns")]
    found += [("device", path.name) for path in _entries("/sys/class/net")]
    found += [("directory", path.name) for path in _entries(tempfile.gettempdir())]
    things = [Leftover(kind, name, maker) for kind, name in found if (maker := maker_of(name)) is not None]
    for pid, words in _processes():
        # An agent or a daemon is known by what it was started with: a namespace, a directory.
        for word in words:
            maker = next((made for part in word.split("/") if (made := maker_of(part)) is not None), None)
            if maker is not None:
                things.append(Leftover("process", f"{pid} {words[0]}", maker))
                break
    return sorted(things)


def of_this_process() -> list[Leftover]:
    """What this process has made and not taken away."""
    return [thing for thing in everything() if mark(thing.maker) == mark()]


def of_dead_processes() -> list[Leftover]:
    """What processes have left that are no more."""
    return [thing for thing in everything() if not is_alive(thing.maker)]


def remove(thing: Leftover) -> None:
    """Take one leftover away."""
    with contextlib.suppress(CommandError):  # a device goes with its namespace
        if thing.kind == "process":
            end_process(int(thing.name.split()[0]), mark(thing.maker))
        elif thing.kind == "namespace":
            run("ip", "netns", "delete", thing.name)
        elif thing.kind == "device":
            run("ip", "link", "delete", thing.name)
        elif thing.kind == "directory":
            shutil.rmtree(Path(tempfile.gettempdir(), thing.name), ignore_errors=True)


def sweep() -> list[Leftover]:
    """Take away what dead processes have left; return what it was."""
    found = of_dead_processes()
    # Processes first: a switch that still runs would hold on to devices and files.
    for thing in sorted(found, key=lambda thing: thing.kind != "process"):
        remove(thing)
    return found


def _entries(directory: str) -> list[Path]:
    path = Path(directory)
    return list(path.iterdir()) if path.is_dir() else []


def _processes() -> list[tuple[int, list[str]]]:
    processes = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                processes.append((int(path.name), words))
    return processes


if __name__ == "__main__":
    for gone in sweep():
        print("removed:", gone)
