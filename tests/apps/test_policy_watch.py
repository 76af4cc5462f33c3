"""The watch over the policy's files, in a process of its own: what it loads, and above all what it does not."""

import time

from tests.apps.watching import SILENCE, replace, text


def test_loads_at_the_start_and_after_a_change(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    (policy / "a.yaml").write_text(text("two"))
    watcher.loads("two")
    watcher.silent()


def test_a_file_written_in_pieces_is_not_loaded_before_it_is_closed(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    whole = text("one", "two", "three")
    with (policy / "a.yaml").open("w") as file:
        for piece in whole.splitlines(keepends=True):
            file.write(piece)
            file.flush()
            time.sleep(0.15)  # longer than the quiet that the watch waits for
        watcher.silent()
        assert watcher.ask("writing", "writing") == [str(policy / "a.yaml")]
    watcher.loads("one", "two", "three")
    assert watcher.ask("writing", "writing") == []


def test_a_writer_who_began_before_the_watch_is_waited_for(watch, policy):
    with (policy / "a.yaml").open("w") as file:
        file.write(text("half"))
        file.flush()
        watcher = watch(policy)
        watcher.waits_for(policy / "a.yaml")
        watcher.silent()
        file.write("      - {name: whole, allow: tcp/2, from: any, to: any}\n")
    watcher.loads("half", "whole")


def test_a_folder_that_is_copied_in_slowly_is_loaded_whole(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    (policy / "more").mkdir()
    with (policy / "more" / "b.yaml").open("w") as file:
        file.write("policies:\n  - name: q\n    rules:\n      - {name: half, allow: tcp/1, from: any, to: any}\n")
        file.flush()
        time.sleep(SILENCE)
        file.write("      - {name: whole, allow: tcp/1, from: any, to: any}\n")
    watcher.ends_with("one", "half", "whole")
    assert {"loaded": ["one", "half"]} not in watcher.outcomes
    (policy / "more" / "b.yaml").write_text("")
    watcher.loads("one")


def test_a_load_during_which_something_changed_does_not_count(watch, policy):
    watcher = watch(policy, "0.5")
    watcher.next("loading")
    replace(policy / "a.yaml", text("two"))
    watcher.next("loading")
    watcher.loads("two")


def test_the_ways_of_editors(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    # vim: a swap file, the old file aside, a new one in its place.
    file, swap, backup = policy / "a.yaml", policy / ".a.yaml.swp", policy / "a.yaml~"
    with swap.open("w") as held:
        held.write("swap")
        held.flush()
        file.rename(backup)
        file.write_text(text("vim"))
        backup.unlink()
        watcher.loads("vim")
    swap.unlink()
    # sed -i, most others: a new file over the old one.
    replace(file, text("sed"))
    watcher.loads("sed")


def test_a_file_that_goes_and_the_last_one(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    (policy / "b.yml").write_text("policies:\n  - {name: q, rules: [{name: b, allow: any, from: any, to: any}]}\n")
    watcher.loads("one", "b")
    (policy / "b.yml").unlink()
    watcher.loads("one")
    (policy / "a.yaml").unlink()
    gone = watcher.next()
    assert gone["missing"] is True


def test_a_directory_that_comes_later(watch, tmp_path):
    policy = tmp_path / "etc" / "portcullis" / "policy"
    watcher = watch(policy)
    assert watcher.next()["missing"] is True
    policy.mkdir(parents=True)
    (policy / "a.yaml").write_text(text("late"))
    watcher.ends_with("late")
    replace(policy / "a.yaml", text("later"))
    watcher.loads("later")


def test_a_directory_replaced_by_rename_is_watched_on(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    for round_ in ("two", "three"):
        other = policy.with_name("next")
        other.mkdir()
        (other / "a.yaml").write_text(text(round_))
        policy.rename(policy.with_name(f"before-{round_}"))
        other.rename(policy)
        watcher.ends_with(round_)
        (policy / "a.yaml").write_text(text(round_, "changed"))
        watcher.ends_with(round_, "changed")


def test_the_directory_above_replaced_by_rename(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    above = policy.parent
    above.rename(above.with_name("before"))
    assert watcher.next()["missing"] is True
    policy.mkdir(parents=True)
    (policy / "a.yaml").write_text(text("two"))
    watcher.ends_with("two")


def test_a_directory_moved_away_from_under_a_writer_holds_nothing_back(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    with (policy / "a.yaml").open("w") as file:
        file.write("version")
        file.flush()
        watcher.silent()
        policy.rename(policy.with_name("before"))
        policy.mkdir()
        (policy / "a.yaml").write_text(text("two"))
        watcher.ends_with("two")


def test_a_directory_switched_over_by_a_hidden_symlink(watch, tmp_path):
    policy = tmp_path / "policy"
    policy.mkdir()
    for number, name in enumerate(("one", "two", "three")):
        version = policy / f"..version-{number}"
        version.mkdir()
        (version / "a.yaml").write_text(text(name))
    (policy / "..data").symlink_to("..version-0")
    (policy / "a.yaml").symlink_to("..data/a.yaml")
    watcher = watch(policy)
    watcher.loads("one")
    for number, name in ((1, "two"), (2, "three")):
        (policy / "..data_tmp").symlink_to(f"..version-{number}")
        (policy / "..data_tmp").rename(policy / "..data")
        watcher.loads(name)
    (policy / "..version-2" / "a.yaml").write_text(text("four"))
    watcher.loads("four")


def test_symlinks_above_the_policy_switched_over(watch, tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name / "policy").mkdir(parents=True)
        (tmp_path / name / "policy" / "a.yaml").write_text(text(name))
    (tmp_path / "latest").symlink_to(tmp_path / "one")
    (tmp_path / "current").symlink_to("latest")
    watcher = watch(tmp_path / "current" / "policy")
    watcher.loads("one")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(tmp_path / "latest")
    watcher.loads("two")
    (tmp_path / "next").symlink_to("three")
    (tmp_path / "next").rename(tmp_path / "current")
    watcher.loads("three")
    (tmp_path / "three" / "policy" / "a.yaml").write_text(text("four"))
    watcher.loads("four")


def test_a_symlink_in_a_loop_is_told_and_can_be_mended(watch, policy):
    (policy / "loop.yaml").symlink_to("loop.yaml")
    (policy / "again").symlink_to("..")
    watcher = watch(policy)
    assert len(watcher.next()["refused"]) == 2
    (policy / "loop.yaml").unlink()
    (policy / "again").unlink()
    watcher.ends_with("one")


def test_a_policy_that_is_one_file(watch, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(text("one"))
    watcher = watch(file)
    watcher.loads("one")
    (tmp_path / "other.yaml").write_text("version: 1\n")
    watcher.silent()
    replace(file, text("two"))
    watcher.loads("two")
    with file.open("a") as appended:
        appended.write("      - {name: three, allow: tcp/1, from: any, to: any}\n")
    watcher.loads("two", "three")
    file.unlink()
    assert watcher.next()["missing"] is True
    file.write_text(text("four"))
    watcher.ends_with("four")


def test_hundreds_of_quick_changes_are_few_loads(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    for number in range(400):
        replace(policy / "a.yaml", text(f"n{number}"))
    watcher.ends_with("n399")
    assert len(watcher.outcomes) < 10
    watcher.silent()


def test_what_happens_beside_the_policy_does_not_matter(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    for folder in (policy.parent, policy.parent.parent):
        (folder / "log").write_text("a line")
        (folder / "b.yaml").write_text("version: 1\n")
        (folder / "b.yaml").unlink()
        (folder / "other").mkdir()
    (policy / ".hidden.yaml").write_text("nonsense: [")
    (policy / "README").write_text("for people")
    watcher.silent()


def test_new_folders_within_folders_are_watched(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    deep = policy / "a" / "b" / "c"
    deep.mkdir(parents=True)
    rules = "policies:\n  - {{name: q, rules: [{{name: {}, allow: any, from: any, to: any}}]}}\n"
    (deep / "b.yaml").write_text(rules.format("deep"))
    watcher.ends_with("one", "deep")
    (deep / "b.yaml").write_text(rules.format("deeper"))
    watcher.loads("one", "deeper")


def test_asking_again_and_again_does_not_keep_a_change_from_being_loaded(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    watcher.process.stdin.write("pester\n")
    replace(policy / "a.yaml", text("two"))
    watcher.ends_with("two")
    assert {"pestered": True} not in list(watcher.said.queue)
    watcher.next("pestered")


def test_asking_waits_for_what_the_files_say_now(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    replace(policy / "a.yaml", text("two"))
    watcher.ask("check", "checked")
    assert watcher.outcomes[-1] == {"loaded": ["two"]}


def test_it_does_nothing_while_nothing_happens(watch, policy):
    watcher = watch(policy)
    watcher.loads("one")
    watcher.silent()
    before = watcher.ask("cpu", "cpu")
    time.sleep(2)  # the duration is the measurement
    assert watcher.ask("cpu", "cpu") - before < 0.05


def test_a_file_that_cannot_be_opened_is_told_and_can_be_mended(watch, policy):
    (policy / "b.yaml").symlink_to("/nowhere/b.yaml")
    watcher = watch(policy)
    assert len(watcher.next()["refused"]) == 1
    (policy / "b.yaml").unlink()
    watcher.ends_with("one")


def test_who_never_stops_changing_is_named_in_the_log_and_not_read_all_the_time(watch, policy):
    watcher = watch(policy, "0", "0.5", "1")
    watcher.next("loaded")
    for number in range(40):
        (policy / "a.yaml").write_text(text(f"n{number}"))
        time.sleep(0.1)  # shorter than the quiet that the watch waits for
    assert watcher.log().count("keeps changing and is not loaded meanwhile") == 1
    reads = 0
    while watcher.next() != {"loaded": ["n39"]}:
        reads += 1
    assert reads <= 4


def test_the_log_tells_an_outcome_once_however_often_somebody_asks(watch, policy):
    (policy / "b.yaml").write_text("version: 2\n")
    watcher = watch(policy)
    for _ in range(3):
        watcher.ask("check", "checked")
    assert watcher.log().count("policy refused: ") == 1
    (policy / "b.yaml").write_text("version: 1\n")
    watcher.ends_with("one")
    (policy / "b.yaml").write_text("version: 2\n")
    watcher.next("refused")
    assert watcher.log().count("policy refused: ") == 2
