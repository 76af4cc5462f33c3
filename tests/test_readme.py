"""The README tells the truth: its policies load, its commands and targets exist, its links lead somewhere."""

import re
from pathlib import Path

from click.testing import CliRunner

from policy.cli import cli
from policy.evaluate import evaluate
from policy.load import load_texts
from policy.model import Verdict
from policy.question import parse_question

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    found = re.findall(rf"^( *)```{kind}\n(.*?)^ *```", TEXT, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def test_the_policies_load_and_mean_what_the_text_says():
    shop, first = (load_texts({"policy.yaml": block.encode()}) for block in blocks("yaml"))

    def verdict(source: str, target: str, service: str) -> Verdict:
        return evaluate(shop, parse_question(shop, source, target, service)).verdict

    assert verdict("web-1", "app-1", "tcp/8085") is Verdict.ALLOW
    assert verdict("app-1", "db-1", "tcp/3306") is Verdict.ALLOW
    assert verdict("web-1", "db-1", "tcp/3306") is Verdict.DENY
    assert len(first.policies) == 1


def test_the_commands_exist():
    lines = [line for block in blocks("sh") for line in block.splitlines() if "portcullis " in line.split("#")[0]]
    assert len(lines) >= 10
    for line in lines:
        words = line.split("#")[0].split()
        command = words[words.index("portcullis") + 1]
        result = CliRunner().invoke(cli, [command, "--help"])
        assert result.exit_code == 0, line
        assert [word for word in words if word.startswith("--") and word not in result.output] == [], line


def test_the_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z]+)", TEXT):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert links
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
