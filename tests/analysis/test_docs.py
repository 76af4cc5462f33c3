"""docs/analysis.md: every example is run.

Fences say what a block is: `yaml file=NAME` is a file (a later one begins with the first, `shop.yaml`), `diff
file=NAME` the first with lines replaced, and a `console` block is a command with what it prints.
"""

import re
import shlex
from pathlib import Path

import pytest

from policy.analysis.space import UNUSABLE
from policy.commands.matrix_views import WIDEST_GRID
from tests.commands.conftest import portcullis

PAGE = Path(__file__).parents[2] / "docs" / "analysis.md"
BLOCKS = re.findall(r"^```([a-z]+) ?([^\n]*)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
BASE = "shop.yaml"


def files():
    found = {}
    for kind, title, text in BLOCKS:
        name = title.removeprefix("file=")
        if kind == "yaml":
            found[name] = text if name == BASE else f"{found[BASE]}\n{text}"
        elif kind == "diff":
            found[name] = edited(found[BASE], text)
    return found


def edited(text, lines):
    """The text with each run of `-` lines replaced by the run of `+` lines after it."""
    for old, new in re.findall(r"((?:^-.*\n)+)((?:^\+.*\n)+)", lines, re.MULTILINE):
        before, after = (re.sub(r"^.", "", run, flags=re.MULTILINE) for run in (old, new))
        assert before in text
        text = text.replace(before, after)
    return text


def examples():
    for kind, _, text in BLOCKS:
        if kind == "console":
            command, _, printed = text.removeprefix("$ ").partition("\n")
            yield command, printed


def plain(text):
    return [line.rstrip() for line in text.rstrip("\n").split("\n")]


@pytest.mark.parametrize(("command", "printed"), list(examples()), ids=lambda value: value.partition("\n")[0][:60])
def test_example(tmp_path, monkeypatch, command, printed):
    monkeypatch.chdir(tmp_path)
    for name, text in files().items():
        (tmp_path / name).write_text(text)
    result = portcullis(*shlex.split(command)[1:])
    status = f"[exit status {result.exit_code}]\n" if result.exit_code else ""
    assert plain(result.output + status) == plain(printed)


def test_every_block_is_of_a_known_kind():
    assert {kind for kind, _, _ in BLOCKS} == {"yaml", "diff", "console"}
    assert list(files()) == [BASE, "new.yaml", "asserted.yaml"]


def test_the_page_names_the_numbers_that_the_code_has():
    text = PAGE.read_text()
    assert f"more than {WIDEST_GRID} VMs" in text
    assert "255.255.255.255/32" in map(str, UNUSABLE)
