"""The command `portcullis`: ties the commands of `policy.commands` together, and sees to it that each ends well."""

from __future__ import annotations

import io
import os
import sys
import traceback

import click

from policy.commands.blast_radius import blast_radius
from policy.commands.check import check
from policy.commands.counters import counters
from policy.commands.diff import diff
from policy.commands.explain import explain
from policy.commands.import_ import import_
from policy.commands.init import init
from policy.commands.lint import lint
from policy.commands.matrix import matrix
from policy.commands.output import WRONG
from policy.commands.report import report
from policy.commands.run import run
from policy.commands.status import status
from policy.commands.test import test
from policy.commands.topology import topology
from policy.commands.verify import verify
from policy.plain import clean

# As shells report a process that a signal has ended: 128 and the signal's number (SIGINT, SIGPIPE).
INTERRUPTED, PIPE_CLOSED = 130, 141


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="portcullis", message="portcullis %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """A stateful firewall at every virtual NIC of every hypervisor that runs Open vSwitch.

    \b
    Write a policy and try it out, with no switch at all:
      portcullis init DIR              write a commented one to begin with
      portcullis import kubernetes ... make one out of Kubernetes' network policies
      portcullis check POLICY          is it free of mistakes?
      portcullis explain POLICY ...    who may talk to whom, and which rule says so?
      portcullis test POLICY CASES     does it do what your test cases say?
      portcullis matrix POLICY         what goes through from everybody to everybody?
      portcullis diff OLD NEW          what would a change let through, or shut?
      portcullis lint POLICY           what in it is probably not meant?
      portcullis blast-radius POLICY   what could an intruder on a VM reach?
      portcullis report POLICY         one page of all that, for an auditor
    \b
    Enforce it:
      portcullis run DIR               start the controller
      portcullis status --wait 30      is it in force everywhere?
      portcullis topology              which VM is on which port?
      portcullis counters              what has each rule decided, and what was dropped?
      portcullis verify POLICY         do this machine's switches hold exactly that?

    Exit status of every command: 0 fine; 1 the answer is "no"; 2 no answer, because the question is wrong or something
    that it needs is missing. Each command's --help has examples.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_FILES = (init, import_, check, test, explain, matrix, diff, lint, blast_radius, report)
for _command in (*_FILES, run, status, topology, counters, verify):
    cli.add_command(_command)


def main() -> None:
    """Run the command of this process's arguments and exit with its status. No traceback reaches a user unasked."""
    sys.exit(_status())


def _status() -> int:
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show must not end the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _invoke()
        # Here, not at the interpreter's end, where a reader that has gone would make noise.
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        # A full disk behind standard output, say: the machine's trouble, not a defect of ours.
        _tell(error, f"portcullis: {clean(str(error))}")
        return WRONG
    except Exception as error:
        _tell(error, _unforeseen(error))
        return WRONG


def _invoke() -> int:
    """The command's exit status. (`cli.main()` would end with 1 where a pipe is closed.)"""
    try:
        with cli.make_context("portcullis", sys.argv[1:]) as context:
            cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return 0


def _tell(error: Exception, line: str) -> None:
    """An error in one line, unless the traceback is asked for."""
    if os.environ.get("PORTCULLIS_DEBUG"):
        traceback.print_exception(error)
    else:
        click.echo(line, err=True)


def _unforeseen(error: Exception) -> str:
    told = clean(str(error))[:200]
    return (
        f"portcullis: unexpected error: {type(error).__name__}{': ' if told else ''}{told} "
        "(run again with PORTCULLIS_DEBUG=1 for the details, and put them into a bug report)"
    )


if __name__ == "__main__":
    main()
