"""`recall run --day` and `recall promote`: which night is served, and what cannot replace it."""

import json
import shutil
import subprocess
import sys
from datetime import date, timedelta

import numpy as np
import pytest
from command import run_command
from hypothesis import given
from hypothesis import strategies as st

from audiorec.errors import AudiorecError, InputError, MissingFileError, StoreError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.log_files import parse_day
from audiorec.listening.sequences import Sequences, to_sequences
from audiorec.recall.serving.nightly import current as pointer
from audiorec.recall.serving.nightly.current import (
    CURRENT,
    RECORD,
    STATE,
    promote,
    read_current,
    served_folder,
)
from audiorec.recall.serving.nightly.places import open_night
from audiorec.recall.serving.nightly.promotion import PROMOTION, judge_split, nights_of

DAYS = [date(2026, 1, n) for n in range(1, 29)]
USERS = 40
WHOLE = '{"schema": "audiorec/recall-current/1", "day": "2026-01-05"'
WHOLE += ', "before": ["2026-01-04"], "withdrawn": []}'


def write_log(folder, days, *, prefix="s"):
    """Everybody walks through the songs in order, so rules know the next ones."""
    rows = ["user_id,song_id,timestamp,event"]
    for user in range(USERS):
        for day in range(1, days + 1):
            for n in range(3):
                song = (user * 5 + day * 3 + n) % 60
                rows.append(
                    f"u{user},{prefix}{song:02},2026-01-{day:02}T{8 + n:02}:{user:02}:00Z,finish"
                )
    (folder / "plays.csv").write_text("\n".join(rows) + "\n")


def night(folder, day, channels=("rules", "popular"), more=""):
    (folder / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.csv"\nout = "serving"\nk = 10\ndepth = 20\n'
        f"channels = {json.dumps(channels)}\n{more}"
        f"{'' if 'judge_share' in more else 'judge_share = 1.0'}\n"
    )
    return open_night(folder / "recall.toml", parse_day(f"2026-01-{day:02}"))


def run(folder, day, channels=("rules", "popular"), more=""):
    one = night(folder, day, channels, more)
    one.job.run()
    return one.promote()


@pytest.fixture(scope="module")
def two_days(tmp_path_factory):
    folder = tmp_path_factory.mktemp("days")
    write_log(folder, 5)
    assert run(folder, 4).is_served
    assert run(folder, 5).is_served
    return folder


@pytest.fixture
def home(two_days, tmp_path):
    """Give a folder whose fourth and fifth day were promoted, and whose log has a sixth."""
    shutil.copytree(two_days, tmp_path, dirs_exist_ok=True)
    write_log(tmp_path, 6)
    return tmp_path


def served(folder):
    return served_folder(folder / "serving").name


def verdict(folder, day):
    return json.loads((folder / f"serving/dt=2026-01-{day:02}" / PROMOTION).read_text())


def test_what_is_kept_back_is_the_newest_song_of_each_drawn_user():
    # The fifth user has four songs, which are too few; "b" was heard before "e", and again after.
    lists = [["a", "b", "c", "d", "e", "b"]] * 20 + [["a", "b", "c", "d"]]
    split = judge_split(Sequences.from_lists(lists, [f"u{n}" for n in range(21)]), 1.0)
    assert len(split) == 20
    wanted = [split.wanted.song_ids[song] for song in split.wanted.song]
    assert wanted == ["e"] * 20
    assert split.learn.lengths.tolist() == [5] * 20 + [4]
    assert [split.learn.song_ids[n] for n in split.learn[0]] == ["a", "b", "c", "d", "b"]


def test_too_few_users_judge_nothing():
    lists = [["a", "b", "c", "d", "e"]] * 19
    assert judge_split(Sequences.from_lists(lists, [f"u{n}" for n in range(19)]), 1.0) is None


def test_the_same_users_are_drawn_every_night_and_of_all_users_as_many_as_stated():
    names = [f"u{n}" for n in range(1_000)]
    plays = Sequences.from_lists([list("abcde")] * 1_000, names)
    first, later = judge_split(plays.take(np.arange(500)), 0.2), judge_split(plays, 0.2)
    drawn = set(later.histories.owner_ids)
    assert set(first.histories.owner_ids) == drawn & set(names[:500])
    assert 150 < len(drawn) < 250


def test_in_a_log_of_counts_the_order_of_rows_decides_nothing(tmp_path):
    rows = [f"u{user},s{song},{song + 1}" for user in range(30) for song in range(6)]
    found = []
    for order in (rows, rows[::-1]):
        (tmp_path / "counts.csv").write_text("user_id,song_id,count\n" + "\n".join(order) + "\n")
        plays = to_sequences(read_interactions(tmp_path / "counts.csv"))
        split = judge_split(plays, 1.0)
        named = [split.wanted.song_ids[song] for song in split.wanted.song]
        found.append(dict(zip(split.wanted.owner_ids, named, strict=True)))
    assert found[0] == found[1]


def test_a_night_as_good_is_promoted(home):
    assert served(home) == "dt=2026-01-05"
    decision = run(home, 6)
    assert (decision.is_served, served(home)) == (True, "dt=2026-01-06")
    assert decision.why.startswith("not worse than what is served: hit_rate@10 ")
    found = verdict(home, 6)
    assert found["users"] == USERS
    assert found["hit_rate@10"]["new"][0] > 0.5  # the judge is one that lists can please
    assert read_current(home / "serving").before == (DAYS[4], DAYS[3])


def test_a_night_that_is_worse_stays_aside_with_the_reason(home, monkeypatch, capsys):
    night(home, 6, ("popular",))
    monkeypatch.chdir(home)
    arguments = ("recall", "run", "-c", "recall.toml", "--day", "2026-01-06")
    code, _, err = run_command(monkeypatch, capsys, *arguments)
    assert code == 3
    assert "2026-01-06 is not served: more than 5% below what is served: hit_rate@10 0." in err
    assert "audiorec recall promote serving --day 2026-01-06" in err
    assert (home / "serving/dt=2026-01-06" / RECORD).is_file()
    assert served(home) == "dt=2026-01-05"
    assert run_command(monkeypatch, capsys, *arguments)[0] == 3  # nothing to do, and still aside
    record = json.loads((home / "serving.run.json").read_text())
    assert (record["exit_code"], record["counts"]["served"]) == (3, 0)
    assert nights_of(home / "serving")[0]["state"] == "kept aside"


#: Runs `audiorec` and dies at the n-th time that it renames, removes or opens something to write.
DIES = """
import os, sys
left = int(sys.argv.pop(1))
def dies(event, arguments):
    global left
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
    if event in ("os.rename", "os.mkdir", "os.remove") or writes and "serving" in str(arguments[0]):
        left -= 1
        if not left:
            os._exit(9)
sys.addaudithook(dies)
from audiorec_cli.main import main
main()
"""


def files_of(folder):
    """Give each file of the nights with its bytes, without what differs by the clock or a kill."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "serving").rglob("*"))
        if path.is_file() and path.name != STATE and ".tmp" not in str(path.relative_to(folder))
    }


def test_a_night_that_is_killed_goes_on_and_is_promoted(home, tmp_path_factory):
    other = tmp_path_factory.mktemp("whole")
    shutil.copytree(home, other, dirs_exist_ok=True)
    assert run(other, 6).is_served
    night(home, 6)  # writes the settings
    rng = np.random.default_rng()
    # The sixth day makes about a hundred such calls; each later kill meets what the former left.
    for at in (*rng.integers(1, 90, 4), 0):
        command = [sys.executable, "-c", DIES, str(at), *("recall", "run", "-c", "recall.toml")]
        command += ["--day", "2026-01-06", "-q"]
        ended = subprocess.run(command, cwd=home, capture_output=True).returncode
        assert ended in ((0, 9) if at else (0,)), f"killed at call {at}"
        assert served(home) in ("dt=2026-01-05", "dt=2026-01-06")
    assert files_of(home) == files_of(other)


def test_a_night_that_was_kept_aside_changes_no_other(home, tmp_path_factory):
    assert run(home, 6, ("popular",)).is_refused
    write_log(home, 7)
    other = tmp_path_factory.mktemp("without")
    shutil.copytree(home, other, dirs_exist_ok=True)
    shutil.rmtree(other / "serving/dt=2026-01-06")
    for folder in (home, other):
        assert run(folder, 7).is_served
    made = [(one / "serving/dt=2026-01-07/fused.parquet").read_bytes() for one in (home, other)]
    assert made[0] == made[1]
    judged = json.loads((home / "serving/dt=2026-01-07/judged.json").read_text())
    assert judged["since"].startswith("2026-01-05")  # of the lists that users had


def test_a_night_that_learnt_the_songs_to_judge_by_is_no_measure(home):
    rest = ("rules", "popular"), "judge_share = 0.0\n"
    write_log(home, 8)
    assert run(home, 6, *rest).why == "nothing was compared"
    assert (
        run(home, 7, ("popular",)).why
        == "the night that is served has learnt the songs to judge by"
    )
    assert run(home, 8).why.startswith("not worse")


def test_a_refusal_does_not_outlast_the_judge(home):
    assert run(home, 6, ("popular",)).is_refused
    assert run(home, 6, ("popular",), "judge_share = 0.0\n").is_served


def test_days_of_an_earlier_revision_were_served(home):
    (home / "serving" / CURRENT).unlink()
    assert run(home, 6).is_served
    assert promote(home / "serving").day == DAYS[4]


def test_a_margin_of_one_lets_everything_through(home):
    assert run(home, 6, ("popular",), "margin = 1.0\n").is_served


def test_songs_that_were_renamed_are_not_served_unseen(home):
    write_log(home, 6, prefix="new-")
    decision = run(home, 6)
    assert decision.is_refused
    assert decision.why.startswith("what is served knows 0% of the wanted songs: were they renamed")


def test_a_night_with_far_fewer_users_to_judge_by_is_not_served(home):
    lines = (home / "plays.csv").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("u1", "u2"))]  # 18 of 40 remain
    (home / "plays.csv").write_text("\n".join(kept) + "\n")
    decision = run(home, 6)
    assert decision.is_refused
    assert decision.why == "fewer than 20 users to judge by"
    kept = [line for line in lines if not line.startswith("u1")]  # 29 of 40
    (home / "plays.csv").write_text("\n".join(kept) + "\n")
    assert run(home, 6).why.startswith("29 users to judge by, 40 in the night that is served")


def test_a_served_night_that_cannot_be_asked_gives_way(home):
    for model in (home / "serving/dt=2026-01-05/models/rules").glob("*.safetensors"):
        model.write_bytes(model.read_bytes()[:-9])
    decision = run(home, 6, ("popular",))
    assert decision.is_served
    assert "the night that is served cannot be asked" in decision.why


def test_an_earlier_day_that_is_made_again_is_not_served(home):
    (home / "serving/dt=2026-01-04" / PROMOTION).unlink()
    decision = run(home, 4)
    assert (decision.is_served, decision.is_refused) == (False, False)
    assert decision.why == "2026-01-05, a later day, is served"
    assert served(home) == "dt=2026-01-05"


def test_a_day_that_is_made_again_and_became_worse_is_taken_back(home):
    decision = run(home, 5, ("popular",))
    assert decision.is_refused
    assert served(home) == "dt=2026-01-04"
    assert read_current(home / "serving").withdrawn == (DAYS[4],)


def test_promoted_and_taken_back_by_hand(home, monkeypatch, capsys):
    monkeypatch.chdir(home)

    def told(*arguments):
        return run_command(monkeypatch, capsys, "recall", "promote", "serving", *arguments)

    assert told("--back") == (0, "", "2026-01-04 is served: serving\n")
    assert served(home) == "dt=2026-01-04"
    assert run(home, 5).why == "it was taken back by hand"
    assert served(home) == "dt=2026-01-04"
    code, out, _ = told()
    assert code == 0
    lines = [line.split("\t")[:2] for line in out.splitlines()]
    assert lines == [["day", "state"], ["2026-01-05", "taken back"], ["2026-01-04", "served"]]
    code, _, err = told("--back")
    assert (code, err) == (2, "error: serving: no day was served before this one\n")
    assert told("--day", "2026-01-05")[0] == 0
    assert served(home) == "dt=2026-01-05"
    shown = json.loads(told("--json")[1])
    assert shown["schema"] == "audiorec/recall-days/1"
    assert [one["state"] for one in shown["days"]] == ["served", "served before"]
    assert run(home, 6).is_served  # the next night is compared and promoted as ever


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--day", "2026-01-09"), 2, "no such day; the newest there: 2026-01-04, 2026-01-05"),
        (("--day", "yesterday"), 2, "--day"),
        (("--day", "2026-01-04", "--back"), 2, "either --day or --back"),
    ],
)
def test_refusals_by_hand(home, monkeypatch, capsys, arguments, code, said):
    found = run_command(monkeypatch, capsys, "recall", "promote", home / "serving", *arguments)
    assert (found[0], found[1]) == (code, "")
    assert said in found[2]
    assert served(home) == "dt=2026-01-05"


def test_a_day_that_is_not_whole_is_not_promoted_and_not_gone_back_to(home):
    (home / "serving/dt=2026-01-04/fused.parquet").unlink()
    with pytest.raises(StoreError, match="the run of this day was not finished; run it again"):
        promote(home / "serving", DAYS[3])
    with pytest.raises(MissingFileError, match="no day was served before"):
        promote(home / "serving")
    assert [one["state"] for one in nights_of(home / "serving")] == ["served", "not finished"]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        WHOLE.replace("2026-01-05", "../../elsewhere"),
        WHOLE.replace('["2026-01-04"]', '"2026-01-04"'),
        WHOLE.replace("current/1", "current/2"),
    ],
)
def test_a_damaged_file_names_no_day_and_is_mended_by_naming_one(home, content):
    (home / "serving" / CURRENT).write_text(content)
    with pytest.raises(AudiorecError, match=r"current\.json"):
        served_folder(home / "serving")
    with pytest.raises(AudiorecError, match=r"current\.json"):
        promote(home / "serving")
    promote(home / "serving", DAYS[3])
    assert served(home) == "dt=2026-01-04"


def test_links_are_not_followed(home, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "mine.json"
    root = home / "serving"
    (root / CURRENT).rename(elsewhere)
    (root / CURRENT).symlink_to(elsewhere)
    for call in (served_folder, lambda place: promote(place, DAYS[3])):
        with pytest.raises(StoreError, match="is a link"):
            call(root)


def test_a_folder_without_days_is_served_itself_and_days_without_a_choice_are_not(home):
    root = home / "serving"
    assert served_folder(root / "dt=2026-01-05") == root / "dt=2026-01-05"
    (root / CURRENT).unlink()
    with pytest.raises(InputError, match=r"audiorec recall promote .*serving --day 2026-01-05"):
        served_folder(root)


@given(st.lists(st.sampled_from(DAYS), min_size=1, max_size=30))
def test_however_days_are_promoted_those_before_are_older_and_those_taken_back_newer(days):
    found, ever = None, set()
    for day in days:
        found = pointer.promoted(found, day)
        ever.add(day)
        assert found.day == day
        assert list(found.before) == sorted({d for d in found.before if d < day}, reverse=True)
        assert all(one > day for one in found.withdrawn)
        assert {*found.before, *found.withdrawn} <= ever


def test_what_is_remembered_has_an_end():
    found = None
    for n in range(pointer.MOST_BEFORE + 50):
        found = pointer.promoted(found, DAYS[0] + timedelta(days=n))
    assert len(found.before) == pointer.MOST_BEFORE


def test_shares_outside_of_0_to_1_are_refused(home):
    for line in ("judge_share = 1.5", "judge_share = -0.1", "margin = 2.0"):
        text = (home / "recall.toml").read_text()
        kept = [one for one in text.splitlines() if not one.startswith(line.split()[0])]
        (home / "recall.toml").write_text("\n".join([*kept, line]) + "\n")
        with pytest.raises(AudiorecError, match=r"must be in \[0, 1\]"):
            open_night(home / "recall.toml", DAYS[4])
        night(home, 5)
