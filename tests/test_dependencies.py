"""Every pin is written once, explained, and enough for what our packages ask for."""

import configparser
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("requirements-build.txt", "requirements.txt", "requirements-dev.txt", "requirements-bench.txt")


def normal(name: str) -> str:
    """A package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> list[str]:
    lines = [line for file in FILES for line in (ROOT / file).read_text().splitlines()]
    names = []
    for line in lines:
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert re.fullmatch(r"[\d.]+", version), f"not pinned to one version: {line}"
            names.append(normal(name))
    return names


def test_every_pin_is_written_once():
    assert sorted(pins()) == sorted(set(pins()))


def test_every_pin_is_explained():
    explained = {normal(name) for name in re.findall(r"`([^`]+)`", (ROOT / "docs/dependencies.md").read_text())}
    assert set(pins()) - explained == set()


def test_what_the_packages_ask_for_is_pinned():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    asked = {normal(name) for name in config["options"]["install_requires"].split()}
    assert asked - set(pins()) == set()


def test_debian_packages_are_explained():
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    everyday, of_bench = re.findall(r"^(?:BENCH_)?APT := (.*)$", makefile, re.MULTILINE)
    explained = re.findall(r"`([^`]+)`", (ROOT / "docs/dependencies.md").read_text())
    assert {*everyday.split(), *of_bench.split()} - set(explained) == set()
