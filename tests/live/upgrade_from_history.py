"""From the last commit with another layout to the program as it is here, under traffic: `make upgrade`.

Not among the ordinary tests, because it needs the repository's history.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from mininet_scenarios.guest import ROOT
from mininet_scenarios.lab import Lab
from mininet_scenarios.words import blocked, connect, reaches, still_open
from policy.flows.cookies import LAYOUT
from tests.live.shop import Shop
from tests.live.versions import FILES, SHARED, bridge, layouts, no_loss, old_goes, traffic

WHERE = "policy/flows/cookies.py"


def git(*command: str) -> bytes:
    done = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, *command], capture_output=True)
    assert done.returncode == 0, f"the history is needed: {done.stderr.decode()}"
    return done.stdout


@pytest.fixture
def older(tmp_path: Path) -> tuple[int, Path]:
    """The newest commit of another layout, unpacked: the layout, and the folder."""
    for commit in git("log", "--format=%H", "--", WHERE).decode().split():
        found = re.search(r"^LAYOUT = ([0-9]+)", git("show", f"{commit}:{WHERE}").decode(), re.MULTILINE)
        if found is not None and int(found[1]) != LAYOUT:
            with tarfile.open(fileobj=io.BytesIO(git("archive", "--format=tar", last_of(commit)))) as archive:
                archive.extractall(tmp_path)
            return int(found[1]), tmp_path
    raise AssertionError(f"no commit with another layout than {LAYOUT}: is the history whole?")


def last_of(commit: str) -> str:
    """The last commit before ours that still had the layout of this one."""
    later = git("log", "--format=%H", "--reverse", f"{commit}..HEAD", "--", WHERE).decode().split()
    return f"{later[0]}^" if later else "HEAD"


def test_upgrade(lab: Lab, older: tuple[int, Path]) -> None:
    layout, folder = older
    shop = Shop(lab, FILES, start=False)
    here, shop.controller.root = shop.controller.root, folder
    shop.start()
    assert layouts(shop)[SHARED] == {layout}
    inside, outside = connect(shop.web, shop.app, "tcp/8080"), connect(shop.client, shop.web, "tcp/443")
    with traffic(shop) as streams:
        shop.controller.kill9()
        streams[0].runs(0.5)
        shop.controller.root = here
        shop.start()
        assert bridge(shop)["slot"] == 1
        old_goes(shop)
        still_open(inside)
        still_open(outside)
        no_loss(shop, *streams)
    assert layouts(shop) == {SHARED: {LAYOUT}, 1: {LAYOUT}}
    blocked(shop.web, shop.db, "tcp/3306", control=None)
    reaches(shop.web, shop.app, "tcp/8080")
