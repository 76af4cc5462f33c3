"""Plays a scenario by hand: chapter by chapter, saying what it does. The tests play the same chapters.

A chapter is a generator: what it yields is progress, for people; a claim that does not hold is an AssertionError. It
leaves the stage as it found it, so that any chapter can be played alone.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from rich.console import Console

from mininet_scenarios.guest import AgentError
from mininet_scenarios.lab import MissingTools, leftovers
from mininet_scenarios.lab.shell import last_lines
from mininet_scenarios.show import new_console
from mininet_scenarios.stage import Stage

Chapter = Callable[[Stage], Iterator[str]]


def title(chapter: Chapter) -> str:
    """What a chapter claims: the first line of its docstring."""
    assert chapter.__doc__ is not None
    return chapter.__doc__.partition("\n")[0]


def play(scene: Callable[[], AbstractContextManager[Stage]], chapters: Sequence[Chapter]) -> int:
    """Play all chapters; the exit status: 0 if all claims hold."""
    console = new_console()
    return perform(console, lambda: _play(console, scene, chapters))


def perform(console: Console, show: Callable[[], int]) -> int:
    """Run something that takes everything away when it ends, however it ends; the exit status."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, end)
        for thing in leftovers.sweep():
            console.print(f"removed what an earlier run left when it was killed: {thing}", style="dim")
        return show()
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything has been taken away.")
        return 128 + signal.SIGINT
    except (AssertionError, AgentError, MissingTools) as error:
        console.print(str(error), style="bold red", markup=False, soft_wrap=True)
        return 1


def _play(console: Console, scene: Callable[[], AbstractContextManager[Stage]], chapters: Sequence[Chapter]) -> int:
    began = time.monotonic()
    failed = 0
    with scene() as here:
        console.print(f"{len(here.guests)} hosts are up and the policy is in force")
        for chapter in chapters:
            console.print(f"\n{title(chapter)}", style="bold")
            started = time.monotonic()
            try:
                for line in chapter(here):
                    console.print(f"  {line}", markup=False, soft_wrap=True)
            except (AssertionError, AgentError) as error:
                failed += 1
                console.print(f"  FAILED: {error}", style="bold red", markup=False, soft_wrap=True)
                console.print(last_lines(here.controller.log, 15), style="dim", markup=False)
            else:
                console.print(f"  holds ({time.monotonic() - started:.1f} s)", style="green")
    told = f"{failed} of {len(chapters)} chapters FAILED" if failed else f"all {len(chapters)} chapters hold"
    console.print(f"\n{told}, in {time.monotonic() - began:.0f} s", style="bold red" if failed else "bold green")
    return 1 if failed else 0
