"""`recall.serving.nightly.night`: killed anywhere, resumed, repeated; what was shown stays away."""

import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from made_engines import travelling
from needs import needs

from audiorec.errors import InputError, LostBlocksError, StoreError
from audiorec.listening.log_files import parse_day
from audiorec.recall.registry import load_channel
from audiorec.recall.serving.nightly import steps
from audiorec.recall.serving.nightly.current import FUSE, FUSED, LAST, RECORD, STATE, NightlyPlan
from audiorec.recall.serving.nightly.night import NightlyJob
from audiorec.recall.serving.nightly.places import open_night
from audiorec.recall.serving.nightly.promotion import fused_below

CHANNELS = ("popular", "rules", "item-knn")


def write_log(path, days=6, users=8, songs=30):
    """Users walk through the songs, each at a pace of its own."""
    rows = ["user_id,song_id,timestamp,event"]
    for day in range(1, days + 1):
        for user in range(users):
            rows += [
                f"u{user},s{(user * 7 + day * (2 + user % 3) + n) % songs:02},"
                f"2026-01-{day:02}T{8 + n:02}:{user:02}:00Z,finish"
                for n in range(4)
            ]
    path.write_text("\n".join(rows) + "\n")


def write_config(folder, **more):
    lines = ["[recall]", 'interactions = "plays.csv"', 'out = "serving"', "k = 5", "depth = 20"]
    lines += [] if "channels" in more else [f"channels = {json.dumps(CHANNELS)}"]
    tables = {name: value for name, value in more.items() if isinstance(value, dict)}
    lines += [f"{name} = {json.dumps(value)}" for name, value in more.items() if name not in tables]
    for name, of in tables.items():
        lines += [
            f"[recall.{name}]",
            *(f"{key} = {json.dumps(value)}" for key, value in of.items()),
        ]
    (folder / "recall.toml").write_text("\n".join(lines) + "\n")
    return folder / "recall.toml"


@pytest.fixture
def home(tmp_path):
    write_log(tmp_path / "plays.csv")
    write_config(tmp_path)
    return tmp_path


def job_in(folder):
    return NightlyJob(NightlyPlan.read(folder / "recall.toml"))


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted((folder / "serving").rglob("*"))
        # The state holds seconds, and a kill may leave a temporary file or folder to a later run.
        if path.is_file() and path.name != STATE and ".tmp" not in str(path.relative_to(folder))
    }


def test_a_run_writes_everything_and_a_second_one_does_nothing(home):
    record = job_in(home).run()
    found = pq.read_table(home / "serving" / FUSED)
    assert record["users"] == 8
    assert record["rows"] == len(found) == 40
    assert set(record["models"]) == set(CHANNELS)
    assert json.loads((home / "serving" / RECORD).read_text()) == record
    assert record["shown_at"] == "2026-01-06T11:07:00+00:00"
    before = {path: path.stat().st_mtime_ns for path in (home / "serving").rglob("*.parquet")}
    again = job_in(home)
    assert all(step.is_done for step in again.steps())
    assert again.run() == record
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_engine_makes_the_same_night(home, tmp_path_factory):
    job_in(home).run()
    whole = contents(home)
    other = tmp_path_factory.mktemp("other")
    write_log(other / "plays.csv")
    write_config(other)

    def losing(tasks):
        for task in tasks:
            yield task.lost("it died")

    with pytest.raises(LostBlocksError, match=r"item-knn\.parquet: 1 of 1 blocks .*'u0' to 'u7'"):
        job_in(other).run(engine=losing)
    assert job_in(other).run(engine=travelling) is not None
    assert contents(other) == whole


def test_given_weights_hold_and_train_nothing_again(home):
    first = job_in(home).run()
    assert first["fusion"]["weights"] == pytest.approx([1 / 3] * 3, abs=1e-6)  # eight users
    assert "too few users" in job_in(home).weights_said()[0]
    write_config(home, weights={"popular": 0.5, "rules": 0.0, "item-knn": 0.0}, judge_share=0.2)
    job = job_in(home)
    done = {step.name for step in job.steps() if step.is_done}
    assert {f"ask {name}" for name in CHANNELS} <= done or first["models"] == job.run()["models"]
    record = job.run()
    assert record["fusion"]["weights"] == [0.5, 0.0, 0.0]
    assert record["channels"]["popular"] == record["rows"]


def test_a_night_is_compared_with_the_last(home):
    first = job_in(home).run()["lists"]
    lists = pq.read_table(home / "serving" / FUSED)
    assert first["lists/songs"] == len(lists.column("song_id").unique())
    assert first["answered/rules"] == 8
    assert "lists/kept" not in first
    assert job_in(home).run()["lists"] == first  # nothing new: nothing is compared again
    write_log(home / "plays.csv", days=7)
    found = job_in(home).run()["lists"]
    before, now = (
        set(zip(*(table.column(n).to_pylist() for n in ("user_id", "song_id")), strict=True))
        for table in (lists, pq.read_table(home / "serving" / FUSED))
    )
    assert found["lists/kept"] == pytest.approx(len(before & now) / len(before))
    assert 0 < found["lists/kept"] < 1
    assert not (home / "serving" / LAST).exists()


def test_a_night_that_was_killed_is_compared_with_the_last_whole_one(home, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    for folder in (home, other):
        write_log(folder / "plays.csv")
        write_config(folder)
        job_in(folder).run()
        write_log(folder / "plays.csv", days=7)
    whole = job_in(other).run()
    job = job_in(home)
    keep, fused = job._keep, job._state["steps"][FUSE]

    def killed_after_fuse(news):
        if news.get("steps", {}).get(FUSE, fused) != fused:
            raise KeyboardInterrupt
        keep(news)

    job._keep = killed_after_fuse
    with pytest.raises(KeyboardInterrupt):
        job.run()
    assert (home / "serving" / LAST).exists()  # the new lists stand in place of the old ones
    assert job_in(home).run() == whole
    assert not (home / "serving" / LAST).exists()


def test_the_lists_of_a_day_are_compared_with_those_of_the_day_before(home):
    for day in ("2026-01-05", "2026-01-06"):
        night = open_night(home / "recall.toml", parse_day(day, "day"))
        found = night.job.run()["lists"]
        assert ("lists/kept" in found) == (day == "2026-01-06")
    assert 0 < found["lists/kept"] <= 1


def test_of_three_trainings_by_day_one_is_full(home):
    needs("torch")
    plan = {"channels": ("popular", "song2vec"), "full_every": 3}
    write_config(home, **plan, **{"settings.song2vec": {"dimension": 8, "max_epochs": 6}})

    def parent_of(day):
        night = open_night(home / "recall.toml", parse_day(f"2026-01-{day:02}", "day"))
        night.job.run()
        return load_channel(Path(night.out) / "models" / "song2vec").parent

    parents = [parent_of(day) for day in range(2, 7)]
    assert [parent and parent.generation for parent in parents] == [None, 1, 2, None, 1]
    assert [parent.later_plays for parent in parents if parent] == [32, 32, 32]
    shutil.rmtree(home / "serving" / "dt=2026-01-06")
    write_config(home, **plan, **{"settings.song2vec": {"dimension": 6, "max_epochs": 6}})
    assert parent_of(6) is None  # the model of the day before has other settings


def test_a_run_without_a_day_has_no_model_to_go_on_from(home):
    write_config(home, full_every=3)
    with pytest.raises(InputError, match=r"full_every needs a run of one day \(`day`\)"):
        job_in(home)


def test_what_killed_jobs_left_goes_after_an_hour(home):
    (home / "serving").mkdir()
    old, new = (home / "serving" / f".fused.parquet.{digit * 12}.tmp" for digit in "01")
    for path in (old, new):
        path.write_bytes(b"half")
    model = home / "serving" / "models" / f".popular.{'2' * 12}.tmp"
    model.mkdir(parents=True)
    (model / "model.json").write_text("{")
    for path in (old, model):
        os.utime(path, (1.7e9, 1.7e9))
    job_in(home).run()
    assert (old.exists(), model.exists(), new.exists()) == (False, False, True)


@pytest.mark.parametrize("name", ["candidates/popular.parquet", FUSED, "models/popular/model.json"])
def test_an_output_that_was_cut_off_is_made_again(home, name):
    job_in(home).run()
    before = contents(home)
    path = home / "serving" / name
    path.write_bytes(path.read_bytes()[:-9])
    assert [step.is_done for step in job_in(home).steps()].count(False) == 1
    job_in(home).run()
    assert contents(home) == before
    assert all(step.is_done for step in job_in(home).steps())


def next_night(home, day=7):
    """One user comes: one more play, then another run; return its fused lists."""
    with (home / "plays.csv").open("a") as log:
        log.write(f"u0,s29,2026-01-{day:02}T08:00:00Z,finish\n")
    job_in(home).run()
    return pq.read_table(home / "serving" / FUSED)


def pairs_of(table, most=99, users=()):
    rows = zip(*(table.column(n).to_pylist() for n in ("user_id", "song_id", "rank")), strict=True)
    return {(u, s) for u, s, rank in rows if rank <= most and (not users or u in users)}


AWAY = [f"u{n}" for n in range(1, 8)]


def test_a_list_that_nobody_says_was_shown_stays(home):
    job_in(home).run()
    first = pq.read_table(home / "serving" / FUSED)
    second, third = next_night(home, 7), next_night(home, 8)
    kept = pairs_of(first, users=AWAY) & pairs_of(second, users=AWAY)
    assert len(kept) >= 0.8 * len(pairs_of(first, users=AWAY))
    assert len(pairs_of(second, users=AWAY) & pairs_of(third, users=AWAY)) >= len(kept)


def test_impressions_replace_the_assumption(home):
    job_in(home).run()
    first = pq.read_table(home / "serving" / FUSED)
    (home / "shown" / "dt=2026-01-06").mkdir(parents=True)
    seen = first.filter(pc.equal(first.column("user_id"), "u3"))
    at = pa.repeat(pa.scalar("2026-01-06T12:00:00Z"), len(seen))
    impressions = seen.select(["user_id", "song_id"]).append_column("shown_at", at)
    pq.write_table(impressions, home / "shown" / "dt=2026-01-06" / "part.parquet")
    write_config(home, exposures="shown")
    second = next_night(home)
    assert not pairs_of(first, users=["u3"]) & pairs_of(second, users=["u3"])
    others = sorted({*AWAY} - {"u3"})
    kept = pairs_of(first, users=others) & pairs_of(second, users=others)
    assert len(kept) >= 0.8 * len(pairs_of(first, users=others))
    write_config(home, exposures="shown", exposure_days=0.0)
    job_in(home).run()
    again = pq.read_table(home / "serving" / FUSED)
    assert pairs_of(first, users=["u3"]) & pairs_of(again, users=["u3"])


def test_a_table_of_ones_own_is_a_channel_of_the_night(home, tmp_path_factory):
    (home / "theirs").mkdir()
    theirs = home / "theirs" / "lists.csv"
    # "odd" is known to the table alone, and "extra" is a song that nobody has played.
    theirs.write_text("user_id,song_id\nu1,extra\nu1,s29\nu1,s00\nodd,s03\n")
    name = "external:theirs/lists.csv"
    write_config(home, channels=["rules", name], fusion={"cold_share": 0.2})
    job = job_in(home)
    assert f"ask {name}" in [step.name for step in job.steps()]
    assert f"train {name}" not in [step.name for step in job.steps()]
    record = job.run()
    assert set(record["models"]) == {"rules"}
    assert record["channels"][name] >= 2
    own = pq.read_table(home / "serving" / "candidates" / "external-theirs-lists.parquet")
    assert set(own.column("channel").to_pylist()) == {name}
    rows = pq.read_table(home / "serving" / FUSED).to_pylist()
    assert [r["song_id"] for r in rows if r["user_id"] == "odd"] == ["s03"]
    assert "extra" in {r["song_id"] for r in rows if r["user_id"] == "u1"}
    assert all(step.is_done for step in job_in(home).steps())
    other = tmp_path_factory.mktemp("elsewhere")  # the same plan in another folder: same bytes
    shutil.copytree(home, other, dirs_exist_ok=True, ignore=shutil.ignore_patterns("serving"))
    job_in(other).run(engine=travelling)
    assert contents(other) == contents(home)
    theirs.write_text(theirs.read_text() + "u2,s11\n")
    again = {step.name for step in job_in(home).steps() if not step.is_done}
    assert again == {"judge", f"ask {name}", "weigh", "fuse", "default", "report"}
    theirs.unlink()
    with pytest.raises(InputError, match=r"lists\.csv: no such file"):
        job_in(home)
    write_config(home, channels=["rules", name], tables={"x": "y"})
    with pytest.raises(InputError, match="name a table in channels, as external:FILE"):
        job_in(home)


def test_everybody_has_a_list(home):
    """Newcomers with a profile, users who only skipped or blocked, and songs that they blocked."""
    newcomers = [f"new{n}" for n in range(1_000)]
    rows = ["user_id,country", "u1,fr", *(f"{user},de" for user in newcomers)]
    (home / "profiles.csv").write_text("\n".join(rows) + "\n")
    with (home / "plays.csv").open("a") as log:
        log.write("shy,s07,2026-01-06T08:00:00Z,skip\n")
        log.writelines(f"shy,s{n:02},2026-01-06T08:00:00Z,block\n" for n in range(5, 12))
    for channels in (["rules", "item-knn"], ["popular", "rules"]):
        write_config(home, channels=channels, profiles="profiles.csv")
        record = job_in(home).run()
        assert (record["users"], record["default_users"]) == (8 + 1_000 + 1, 1_001)
        assert record["channels"]["default"] == 1_001 * 5
        lists = pq.read_table(home / "serving" / FUSED)
        assert lists.column("user_id").to_pylist() == sorted(lists.column("user_id").to_pylist())
        found = [row for row in lists.to_pylist() if row["channel"] == "default"]
        assert {row["user_id"] for row in found} == {*newcomers, "shy"}
        assert {row["reason"] for row in found} == {"popular_now"}
        shy = [row["song_id"] for row in found if row["user_id"] == "shy"]
        assert len(shy) == 5
        assert not {*shy} & {f"s{n:02}" for n in range(5, 12)}
        rest = pq.read_table(home / "serving" / "default.parquet").to_pylist()
        one = [row["song_id"] for row in found if row["user_id"] == "new0"]
        assert [(row["user_id"], row["song_id"], row["rank"]) for row in rest] == [
            ("", song, place) for place, song in enumerate(one, 1)
        ]
    assert "- users with the default list: 1,001" in (home / "serving" / "report.md").read_text()


def test_the_lists_of_the_last_night_are_judged_by_what_was_played_since(home):
    """A table knew what each of 30 users would play, but the fusion hardly listened to it."""
    write_log(home / "plays.csv", users=30)
    users = [f"u{n}" for n in range(30)]
    with (home / "plays.csv").open("a") as log:
        log.writelines(f"other,z{user},2026-01-06T08:00:00Z,finish\n" for user in users)
    oracle = "external:oracle.csv"
    (home / "oracle.csv").write_text(
        "user_id,song_id\n" + "".join(f"{user},z{user}\n" for user in users)
    )
    write_config(home, channels=["popular", oracle], weights={"popular": 9.0})
    first = job_in(home).run()
    assert first["judged"] == {"since": None, "users": 0, "hit_rate@10": {}, "over": {}}
    with (home / "plays.csv").open("a") as log:
        log.writelines(f"{user},z{user},2026-01-07T08:00:00Z,finish\n" for user in users)
        log.write("other,zu1,2026-01-07T08:00:00Z,finish\n")  # heard before: nothing to find
    judged = job_in(home).run()["judged"]
    assert (judged["since"], judged["users"]) == (first["shown_at"], 30)
    assert judged["hit_rate@10"]["fused"] == [0, 0, 0]
    assert judged["hit_rate@10"][oracle] == [1, 1, 1]
    assert judged["over"][oracle] == [-1, -1, -1]
    (line,) = fused_below(judged)
    assert line.startswith(
        f"the fused lists of the last night were worse than {oracle} alone: hit_rate@10 0.000, 1.0"
    )
    assert fused_below({**judged, "users": 19}) == []


def test_only_what_changed_is_made_again(home):
    job_in(home).run()
    settings = (home / "recall.toml").read_text()
    (home / "recall.toml").write_text(settings + "[recall.settings.rules]\nwindow = 1\n")
    steps = {step.name: step.is_done for step in job_in(home).steps()}
    assert not steps["train rules"]
    assert not steps["ask rules"]
    assert steps["train popular"]
    assert steps["ask item-knn"]
    assert not steps["fuse"]


@pytest.mark.parametrize("place", ["train_night", "write_asked", "fuse_files"])
def test_stopped_at_any_step_and_resumed_it_writes_the_same_bytes(
    home, tmp_path_factory, place, monkeypatch
):
    other = tmp_path_factory.mktemp("whole")
    write_log(other / "plays.csv")
    write_config(other)
    write_config(home)
    os.utime(other / "plays.csv", ns=(1, 1))
    job_in(other).run()
    calls = []

    def breaks(*arguments, **options):
        calls.append(place)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    real = getattr(steps, place)
    monkeypatch.setattr(steps, place, breaks)
    with pytest.raises(KeyboardInterrupt):
        job_in(home).run()
    job_in(home).run()
    assert contents(home) == contents(other)


def test_refusals(home):
    for line, message in (
        ("k = 0", "k"),
        ('colour = "red"', "unknown setting 'colour'"),
        ('channels = ["popular", "popular"]', "none twice"),
        ('channels = ["nobody"]', "unknown channel 'nobody'"),
        ("depth = 2", "depth must be at least k"),
        ("weights = {sasrec = 2.0}", "'sasrec' has settings or a weight"),
        ("settings = {rules = {windows = 3}}", "unknown setting 'windows'"),
        ("fusion = {per_artist = -1}", "per_artist"),
        ("k = true", "k must be a whole number"),
    ):
        name = line.partition(" ")[0]
        kept = [
            one
            for one in write_config(home).read_text().splitlines()
            if not one.startswith(f"{name} ")
        ]
        (home / "recall.toml").write_text("\n".join([*kept, line]) + "\n")
        with pytest.raises(InputError, match=message):
            NightlyPlan.read(home / "recall.toml")
    write_config(home)
    (home / "plays.csv").unlink()
    with pytest.raises(InputError, match=r"plays\.csv: no such file"):
        job_in(home)


def test_a_link_in_the_folder_is_refused(home):
    (home / "serving").mkdir()
    (home / "elsewhere.parquet").write_bytes(b"mine")
    (home / "serving" / FUSED).symlink_to(home / "elsewhere.parquet")
    with pytest.raises(StoreError, match="link"):
        job_in(home).run()
    assert (home / "elsewhere.parquet").read_bytes() == b"mine"


def test_a_damaged_state_makes_everything_again(home):
    job_in(home).run()
    (home / "serving" / STATE).write_text("{")
    job = job_in(home)
    assert not any(step.is_done for step in job.steps())
    assert job.run()["rows"] > 0  # but what was shown stays away
    assert Path(home / "serving" / FUSED).exists()
