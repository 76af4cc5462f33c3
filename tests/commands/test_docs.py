"""docs/commands.md and docs/status.md: every example is run, every page of JSON compared with what the engine says."""

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.commands.conftest import portcullis
from tests.commands.sample import SHOP, counters_page, status_page, topology_page

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```([a-z]+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What depends on how a policy is written in flows today.
COUNTS = ("flows", "flow_mods")


def blocks(page, language):
    return [(title, text) for kind, title, text in BLOCK.findall((DOCS / page).read_text()) if kind == language]


def files():
    found = [*blocks("commands.md", "yaml"), *blocks("commands.md", "text")]
    return {title.removeprefix("file="): text for title, text in found if title}


def examples():
    """(command, what it prints) of each `$` line."""
    for _, text in blocks("commands.md", "console"):
        for example in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, printed = example.partition("\n")
            yield command, printed


def plain(text):
    """Without what a page need not show: blanks at the ends of lines, and counts of flows."""
    text = re.sub(r"(br0 .*) \d+ *$", r"\1 N", text, flags=re.MULTILINE)
    return [line.rstrip() for line in text.rstrip("\n").split("\n")]


@pytest.mark.parametrize(("command", "printed"), list(examples()), ids=lambda value: value.partition("\n")[0][:60])
def test_example(shop, controller, command, printed):
    for name, text in files().items():
        (shop / name).write_text(text)
    words, _, source = command.partition(" < ")
    stdin = (shop / source).read_text() if source else None
    result = portcullis(*shlex.split(words)[1:], stdin=stdin)
    status = f"[exit status {result.exit_code}]\n" if result.exit_code else ""
    assert plain(result.output + status) == plain(printed)


def test_the_policy_is_the_one_that_the_pages_are_made_of():
    assert files()["shop.yaml"] == SHOP


@pytest.mark.parametrize(
    ("title", "page"), [("status", status_page), ("topology", topology_page), ("counters", counters_page)]
)
def test_json_in_status_md_is_what_the_engine_says(title, page):
    (shown,) = [json.loads(text) for name, text in blocks("status.md", "json") if name == title]
    assert without_counts(shown) == without_counts(page())


def without_counts(value):
    if isinstance(value, dict):
        return {key: without_counts(each) for key, each in value.items() if key not in COUNTS}
    return [without_counts(each) for each in value] if isinstance(value, list) else value


def test_every_key_of_the_status_is_explained():
    text = re.sub(r"```.*?```", "", (DOCS / "status.md").read_text(), flags=re.DOTALL)
    labels = {"role", *(vm for vm in ("web-1", "db-1"))}
    told = keys(status_page()) | keys(counters_page())
    assert {key for key in told if f"`{key}`" not in text} - labels == set()


def keys(value):
    if isinstance(value, dict):
        return set(value) | {key for each in value.values() for key in keys(each)}
    return {key for each in value for key in keys(each)} if isinstance(value, list) else set()


def test_every_command_and_option_is_named():
    from policy.cli import cli

    text = (DOCS / "commands.md").read_text()
    for name, command in cli.commands.items():
        assert f"portcullis {name}" in text
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        assert [option for option in options if option not in text] == []
