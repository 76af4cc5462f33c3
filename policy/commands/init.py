"""`portcullis init`: a policy to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from policy.commands.new_files import write_new
from policy.commands.output import NoAnswer, out, say
from policy.starter.files import CASES, FILES, POLICY_FOLDER


@click.command(short_help="Write a commented policy to begin with.")
@click.argument("directory", metavar="[DIR]", type=click.Path(path_type=Path), default=".")
def init(directory: Path) -> None:
    """Write a small, commented policy and its test cases into DIR (default: here), to read and to make your own.

    The policy goes to DIR/policy, the cases to DIR/cases.yaml. Nothing is ever overwritten: if one of the files is
    there, or DIR/policy holds anything at all, nothing is written.

    Exit status: 0 written; 2 nothing, or not all, could be written.

    \b
      portcullis init firewall
      portcullis check firewall/policy
      portcullis test firewall/policy firewall/cases.yaml
    """
    policy = directory / POLICY_FOLDER
    try:
        # What lies there would become a part of the policy.
        if policy.is_dir() and any(policy.iterdir()):
            raise NoAnswer(f"{policy} is not empty; nothing was written")
    except (OSError, ValueError) as error:
        raise NoAnswer(f"cannot write: {error}") from None
    written = write_new(directory, FILES)
    console = out()
    for path in written:
        say(console, str(path))
    shown, cases = (shlex.quote(str(path)) for path in (policy, directory / CASES))
    say(console, "")
    say(console, "Read them, and then:")
    say(console, f"  portcullis check {shown}")
    say(console, f"  portcullis test {shown} {cases}")
    say(console, f"  portcullis explain {shown} --from web-1 --to db-1 --service tcp/5432")
