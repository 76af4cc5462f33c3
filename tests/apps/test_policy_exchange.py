"""A policy that is exchanged as a whole, by one rename: it is in force without any quiet, and never half of one."""

import ctypes
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.apps.watching import ROOT, replace, text

# Much longer than everything else takes here, as the quiet after any change but an exchange.
LONG = 1.0
AT_FDCWD, RENAME_EXCHANGE = -100, 2
OTHER = "policies:\n  - name: q\n    rules:\n      - {{name: {}, allow: tcp/1, from: any, to: any}}\n"


def revision(folder, name):
    """A directory with a whole policy of two files, with a rule of that name in each."""
    made = folder / name
    made.mkdir(parents=True)
    (made / "a.yaml").write_text(text(name.strip(".")))
    (made / "b.yaml").write_text(OTHER.format(name.strip(".")))
    return made


def lead(link, to):
    """What a symlink leads to is exchanged, as ``ln -s TO DRAFT && mv -T DRAFT LINK`` does it."""
    draft = link.with_name("draft")
    draft.symlink_to(to)
    draft.rename(link)


def swap(one, other):
    """Two names are exchanged, as ``mv --exchange`` does it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(one))


@pytest.fixture
def site(tmp_path):
    """A folder with a revision of a policy, and a symlink to it."""
    folder = tmp_path / "site"
    revision(folder, "one")
    (folder / "current").symlink_to("one")
    return folder


@pytest.fixture
def patient(watch):
    """Starts a watch that waits long, which has loaded the policy, and the quiet after that has passed."""

    def start(path, load="0"):
        watcher = watch(path, load, str(LONG), "10", str(LONG))
        watcher.next("loaded" if path.exists() else "refused")
        time.sleep(LONG)
        return watcher

    return start


def soon(watcher, *rules):
    """The next outcome is these rules, and comes without quiet."""
    began = time.monotonic()
    assert watcher.next("loaded") == {"loaded": list(rules)}
    assert time.monotonic() - began < LONG * 0.6


def late(watcher, kind="loaded"):
    """The next outcome, which comes after the quiet."""
    began = time.monotonic()
    outcome = watcher.next(kind)
    assert time.monotonic() - began > LONG * 0.8
    return outcome


def test_a_symlink(patient, site):
    watcher = patient(site / "current")
    revision(site, "two")
    lead(site / "current", "two")
    soon(watcher, "two", "two")


def test_a_symlink_above_the_policy(patient, site):
    revision(site / "one", "policy")
    watcher = patient(site / "current" / "policy")
    shutil.copytree(site / "one", site / "two")
    (site / "two" / "policy" / "a.yaml").write_text(text("two"))
    lead(site / "current", site / "two")
    soon(watcher, "two", "policy")


def test_a_policy_that_is_one_file(patient, site):
    watcher = patient(site / "one" / "a.yaml")
    replace(site / "one" / "a.yaml", text("two"))
    soon(watcher, "two")


def test_a_folder_that_kubernetes_switches_over(patient, tmp_path):
    """If the policy is said to be at the symlink, and not in the folder around it."""
    revision(tmp_path, "..one")
    (tmp_path / "..data").symlink_to("..one")
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    watcher = patient(tmp_path / "..data")
    revision(tmp_path, "..two")
    (tmp_path / "..two" / "c.yaml").write_text(OTHER.format("new").replace("name: q", "name: r"))
    (tmp_path / "..data_tmp").symlink_to("..two")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    (tmp_path / "c.yaml").symlink_to("..data/c.yaml")
    shutil.rmtree(tmp_path / "..one")
    soon(watcher, "two", "two", "new")


def test_a_directory_put_where_none_was(patient, site):
    revision(site, "two")
    watcher = patient(site / "policy")
    (site / "two").rename(site / "policy")
    soon(watcher, "two", "two")


def test_two_directories_that_exchange_their_names(patient, site):
    watcher = patient(site / "one")
    revision(site, "two")
    swap(site / "two", site / "one")
    soon(watcher, "two", "two")
    time.sleep(LONG)
    swap(site / "two", site / "one")
    soon(watcher, "one", "one")


def test_as_the_page_tells_operators(patient, site):
    page = (ROOT / "docs" / "operation.md").read_text()
    (recipe,) = re.findall(r"^```sh change-policy\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    recipe = recipe.replace("/etc/portcullis", str(site)).replace("rules.yaml", "a.yaml")
    watcher = patient(site / "current")
    tools = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "EDITOR": "sed -i s/one/edited/"}
    done = subprocess.run(["bash", "-ec", recipe], env=os.environ | tools, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    soon(watcher, "edited", "one")
    watcher.silent()


def test_what_is_watched_after_an_exchange_is_the_new_one(patient, site):
    watcher = patient(site / "current")
    revision(site, "two")
    lead(site / "current", "two")
    soon(watcher, "two", "two")
    time.sleep(LONG)
    (site / "one" / "a.yaml").write_text(text("old"))
    watcher.silent()
    (site / "two" / "a.yaml").write_text(text("three"))
    assert late(watcher) == {"loaded": ["three", "two"]}


def test_the_old_one_may_be_removed_at_once(patient, site):
    watcher = patient(site / "current")
    revision(site, "two")
    lead(site / "current", "two")
    shutil.rmtree(site / "one")
    soon(watcher, "two", "two")
    watcher.silent()


def test_what_comes_beside_it_does_not_matter(patient, site):
    watcher = patient(site / "current", "0.2")
    revision(site, "two")
    lead(site / "current", "two")
    watcher.next("loading")
    revision(site, "three")
    (site / "draft").symlink_to("three")
    soon(watcher, "two", "two")


def test_a_file_that_is_changed_while_it_is_read(patient, site):
    watcher = patient(site / "current", "0.2")
    revision(site, "two")
    lead(site / "current", "two")
    watcher.next("loading")
    (site / "two" / "a.yaml").write_text(text("changed"))
    watcher.ends_with("changed", "two")
    assert watcher.outcomes[1:] == [{"loaded": ["changed", "two"]}]


def test_a_file_that_is_changed_under_another_name_while_it_is_read(patient, site):
    """inotify tells nothing of it."""
    watcher = patient(site / "current", "0.2")
    revision(site, "two")
    (site / "elsewhere").hardlink_to(site / "two" / "a.yaml")
    lead(site / "current", "two")
    watcher.next("loading")
    (site / "elsewhere").write_text(text("changed"))
    watcher.ends_with("changed", "two")
    assert watcher.outcomes[1:] == [{"loaded": ["changed", "two"]}]


@pytest.mark.parametrize("name", ["two/a.yaml", "elsewhere"])
def test_a_file_that_somebody_still_writes(patient, site, name):
    watcher = patient(site / "current")
    revision(site, "two")
    (site / "elsewhere").hardlink_to(site / "two" / "a.yaml")
    with (site / name).open("a") as file:
        lead(site / "current", "two")
        watcher.waits_for(site / "two" / "a.yaml")
        watcher.silent()
        file.write("      - {name: whole, allow: tcp/2, from: any, to: any}\n")
    assert watcher.next("loaded") == {"loaded": ["two", "whole", "two"]}


def test_a_second_exchange_while_the_first_is_read(patient, site):
    watcher = patient(site / "current", "0.2")
    revision(site, "two")
    revision(site, "three")
    lead(site / "current", "two")
    watcher.next("loading")
    lead(site / "current", "three")
    watcher.ends_with("three", "three")
    assert watcher.outcomes[1:] == [{"loaded": ["three", "three"]}]


def test_an_exchange_and_back(patient, site):
    watcher = patient(site / "current")
    revision(site, "two")
    lead(site / "current", "two")
    lead(site / "current", "one")
    assert late(watcher) == {"loaded": ["one", "one"]}
    watcher.silent()


def test_soon_after_an_outcome(patient, site):
    watcher = patient(site / "current")
    for name in ("two", "three"):
        revision(site, name)
    lead(site / "current", "two")
    soon(watcher, "two", "two")
    lead(site / "current", "three")
    assert late(watcher) == {"loaded": ["three", "three"]}


@pytest.mark.parametrize(
    "change",
    [
        lambda site: [replace(site / "one" / "a.yaml", text("x")), lead(site / "current", "two")],
        # A draft in the new one: its next file, perhaps.
        lambda site: [lead(site / "current", "two"), time.sleep(0.2), (site / "two" / ".a.x").write_text("")],
        # The old one goes, another comes.
        lambda site: [(site / "current").rename(site / "old"), (site / "two").rename(site / "current")],
    ],
    ids=["change before", "draft inside", "two renames"],
)
def test_what_is_not_an_exchange_alone(patient, site, change):
    watcher = patient(site / "current", "0.4")
    revision(site, "two")
    change(site)
    late(watcher)
    assert len(watcher.outcomes) == 2


def test_a_link_within_the_policys_folder_is_not_all_of_it(patient, tmp_path):
    """Who switches it over may go on with the names in the folder: Kubernetes adds and removes them then."""
    revision(tmp_path, "..one")
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    watcher = patient(tmp_path)
    revision(tmp_path, "..two")
    (tmp_path / "..data_tmp").symlink_to("..two")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    time.sleep(LONG * 0.3)
    (tmp_path / "b.yaml").symlink_to("..data/b.yaml")
    assert late(watcher) == {"loaded": ["two", "two"]}


def test_a_target_that_is_missing_is_told_after_the_quiet(patient, site):
    watcher = patient(site / "current")
    lead(site / "current", "two")
    assert late(watcher, "refused")["missing"] is True


def test_a_target_that_comes_in_time(patient, site):
    watcher = patient(site / "current")
    lead(site / "current", "two")
    time.sleep(0.2)
    revision(site, "draft").rename(site / "two")
    assert late(watcher) == {"loaded": ["draft", "draft"]}


def test_a_mistake_is_told_after_the_quiet(patient, site):
    watcher = patient(site / "current")
    (revision(site, "two") / "a.yaml").write_text("version: 2\n")
    lead(site / "current", "two")
    assert late(watcher, "refused")["missing"] is False


@pytest.mark.parametrize("seed", range(3))
def test_no_half_change_is_ever_emitted(watch, site, seed):
    """Exchanges at all intervals, with what belongs to them: files that are shared, drafts, the old one's removal.

    Whatever is in force is one of the revisions, and the last one is.
    """
    dice = random.Random(seed)
    watcher = watch(site / "current")
    watcher.loads("one", "one")
    said = {("one", "one")}
    for number in range(40):
        before = (site / "current").readlink()
        name = f"r{number}"
        made = revision(site, name)
        said.add((name, name))
        if dice.random() < 0.3:
            # Still being written when it is exchanged, by whoever has begun before.
            (made / "a.yaml").write_text("version: 1\n")
            with (made / "a.yaml").open("w") as file:
                file.write(text(name)[:30])
                file.flush()
                lead(site / "current", name)
                time.sleep(dice.choice((0, 0.005, 0.15)))
                file.write(text(name)[30:])
        else:
            lead(site / "current", name)
        if dice.random() < 0.5:
            time.sleep(dice.choice((0, 0.001, 0.01)))
            shutil.rmtree(site / before)
        time.sleep(dice.choice((0, 0.002, 0.005, 0.01, 0.03, 0.12, 0.2)))
    watcher.ends_with("r39", "r39")
    assert {tuple(outcome.get("loaded", ())) for outcome in watcher.outcomes} <= said
    watcher.silent()
