"""`[recall.export]`: an export every night; samples know how songs stood when they were shown."""

import json
import shutil
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from made_export import by_key, manifest, read
from needs import needs

from audiorec.errors import InputError
from audiorec.listening.forget import forget
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import to_sequences
from audiorec.recall.contract.data import RecallData
from audiorec.recall.serving.export.exporting import export_recall
from audiorec.recall.serving.export.schema import FEATURES
from audiorec.recall.serving.export.sources import ExportSources
from audiorec.recall.serving.nightly.night import NightlyJob, NightlyPlan

CHANNELS = ("popular", "item-knn")
DISPLAYED = 3  # songs of a list that the app shows
EXPOSED = pa.schema(
    [
        *((name, pa.string()) for name in ("user_id", "song_id", "entry")),
        ("shown_at", pa.timestamp("us", tz="UTC")),
        ("run_id", pa.string()),
    ]
)


def write_days(folder, days, users=6, songs=24):
    """Users walk through the songs; each finishes what the night before may have shown."""
    rows = ["user_id,song_id,timestamp,event"]
    for day in range(1, days + 1):
        for user in range(users):
            rows += [
                f"u{user},s{(user * 5 + day * (7 + user % 2) + n * n) % songs:02},"
                f"2026-01-{day:02}T{8 + n:02}:{user:02}:00Z,{'finish' if n % 3 else 'skip'}"
                for n in range(5)
            ]
    (folder / "plays.csv").write_text("\n".join(rows) + "\n")


def write_plan(folder, channels=CHANNELS, export="[recall.export]\ndays = 1.5\n"):
    (folder / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.csv"\nout = "serving"\nk = 6\ndepth = 20\n'
        f'exposure_days = 1.0\nexposures = "shown"\nchannels = {json.dumps(channels)}\n{export}'
    )
    (folder / "shown").mkdir(exist_ok=True)
    if not any((folder / "shown").iterdir()):
        pq.write_table(EXPOSED.empty_table(), folder / "shown" / "none.parquet")
    return NightlyPlan.read(folder / "recall.toml")


def display(folder):
    """The app shows the first three songs of every list, and reports the impressions."""
    lists = pq.read_table(folder / "serving" / "fused.parquet")
    record = json.loads((folder / "serving" / "run.json").read_text())
    first = lists.filter(pc.less_equal(lists.column("rank"), DISPLAYED))
    at = datetime.fromisoformat(record["shown_at"])
    rows = [
        {"user_id": user, "song_id": song, "entry": "daily", "shown_at": at,
         "run_id": record["run_id"]}
        for user, song in zip(*(first.column(n).to_pylist() for n in ("user_id", "song_id")),
                              strict=True)
    ]  # fmt: skip
    place = folder / "shown" / f"{record['run_id']}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, EXPOSED), place)


def night(folder, days, **plan):
    if (folder / "serving").exists():
        display(folder)
    write_days(folder, days)
    job = NightlyJob(write_plan(folder, **plan))
    return job.run()


def test_the_step_is_off_unless_it_is_set(tmp_path):
    night(tmp_path, 3, export="")
    assert not (tmp_path / "serving" / "export").exists()
    steps = NightlyJob(write_plan(tmp_path, export="")).steps()
    assert "export" not in [step.name for step in steps]
    with pytest.raises(InputError, match="unknown setting 'day'"):
        write_plan(tmp_path, export="[recall.export]\nday = 1\n")


def test_the_step_is_done_once_and_again_where_something_is_new(tmp_path):
    record = night(tmp_path, 3)
    out = tmp_path / "serving" / "export"
    assert manifest(out)["run_id"] == record["run_id"]
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")}
    job = NightlyJob(write_plan(tmp_path))
    assert all(step.is_done for step in job.steps())
    job.run()
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.parquet")} == before
    steps = NightlyJob(write_plan(tmp_path, export="[recall.export]\ndays = 3.0\n")).steps()
    assert [step.name for step in steps if not step.is_done] == ["export"]


def test_the_folder_of_a_run_exports_as_its_own_step_does(tmp_path):
    night(tmp_path, 3)
    sources = ExportSources(interactions=tmp_path / "plays.csv").with_run(tmp_path / "serving")
    report = export_recall(sources, tmp_path / "other")
    for name in ("candidates", "songs", "users", "served"):
        found, own = (read(f, name) for f in (tmp_path / "other", tmp_path / "serving" / "export"))
        assert found.select(own.column_names).equals(own)  # channels stand in another order
    assert report.rows["served"] == 36


def test_samples_of_later_nights_have_what_channels_said_when_a_song_was_shown(tmp_path):
    out = tmp_path / "serving" / "export"
    nights = {}
    for days in range(3, 8):
        record = night(tmp_path, days)
        nights[record["run_id"]] = by_key(read(out, "candidates"), "user_id", "song_id")
    found = read(out, "samples_ranking").to_pylist()
    # A song that no app displayed is no sample, least of all a negative one.
    assert {row["fused_rank"] for row in found} == {1, 2, 3}
    displayed = sum(len(pq.read_table(p)) for p in (tmp_path / "shown").iterdir())
    assert manifest(out)["samples"]["ranking"]["shown"] == displayed
    assert manifest(out)["samples"]["ranking"]["as_served"] == len(found) > 30
    assert {row["label"] for row in found} == {0, 1}
    for row in found:
        was = nights[row["run_id"]][row["user_id"], row["song_id"]]
        names = [column.name for column in FEATURES]
        names += ["fused_rank", "channels", "item_knn_rank", "popular_rank", "popular_similarity"]
        assert {n: row[n] for n in names} == {n: was[n] for n in names}
        assert row["fused_rank"] >= 1
        assert row["as_served"]


def test_what_another_system_showed_has_the_ranks_of_the_newest_night_before_it(tmp_path):
    """Impressions without a run, such as those before the first night of ours, are marked."""
    out, nights = tmp_path / "serving" / "export", []
    write_days(tmp_path, 2)
    write_plan(tmp_path)
    shown = [
        {"user_id": f"u{user}", "song_id": f"s{song:02}", "entry": "daily", "run_id": None,
         "shown_at": datetime(2026, 1, day, 20, tzinfo=UTC)}
        for day in (2, 5) for user in range(6) for song in range(24)
    ]  # fmt: skip
    for days in range(3, 8):
        write_days(tmp_path, days)
        if days == 7:  # reported late, so no list is without these songs
            theirs = tmp_path / "shown" / "theirs.parquet"
            pq.write_table(pa.Table.from_pylist(shown, EXPOSED), theirs)
        record = NightlyJob(write_plan(tmp_path)).run()
        nights.append(datetime.fromisoformat(record["shown_at"]))
    found = read(out, "samples_ranking").to_pylist()
    early = [row for row in found if row["happened_at"].day == 2]
    late = [row for row in found if row["happened_at"].day == 5]
    assert early
    assert late
    assert not any(row["as_served"] for row in found)
    assert all(row["ranked_at"] is None and row["fused_rank"] is None for row in early)
    at = nights[2]  # made of the days until 5, in the morning
    assert {row["ranked_at"] for row in late} == {at}
    kept = read(out, "served").filter(pc.equal(read(out, "served").column("shown_at"), at))
    was = by_key(kept, "user_id", "song_id")
    for row in late:
        own = was.get((row["user_id"], row["song_id"]), {})
        for name in ("fused_rank", "item_knn_rank", "popular_rank"):
            assert row[name] == own.get(name)
    assert any(row["item_knn_rank"] for row in late)
    assert manifest(out)["samples"]["ranking"]["ranked_afterwards"] == len(late)


def test_features_that_were_kept_are_those_that_are_computed_afterwards(tmp_path):
    """What the log says of a night is the same that night and later: nothing leaks either way."""
    out = tmp_path / "serving" / "export"
    for days in range(3, 7):
        night(tmp_path, days)
    kept = by_key(read(out, "samples_ranking"), "user_id", "song_id", "run_id")
    shutil.rmtree(out)
    night(tmp_path, 6, export="[recall.export]\ndays = 1.5\nserved_days = 59.0\n")
    made = by_key(read(out, "samples_ranking"), "user_id", "song_id", "run_id")
    assert set(made) == set(kept)
    for key, row in made.items():
        assert not row["as_served"]
        assert row["fused_rank"] is None
        for column in FEATURES:
            expected = kept[key][column.name]
            assert row[column.name] == (
                None if expected is None else pytest.approx(expected, abs=1e-5)
            )


def test_lists_of_long_ago_are_not_kept(tmp_path):
    out = tmp_path / "serving" / "export"
    settings = "[recall.export]\ndays = 1.0\nserved_days = 2.5\n"
    for days in range(3, 8):
        night(tmp_path, days, export=settings)
    assert len(read(out, "served").column("run_id").unique()) == 3
    rows = read(out, "served").to_pylist()
    keys = ("user_id", "shown_at", "run_id", "song_id")
    assert rows == sorted(rows, key=lambda row: tuple(row[key] for key in keys))


def test_who_was_forgotten_in_the_log_is_not_kept(tmp_path):
    out = tmp_path / "serving" / "export"
    night(tmp_path, 3)
    assert "u0" in read(out, "served").column("user_id").to_pylist()
    write_days(tmp_path, 4)
    display(tmp_path)
    forget("u0", [tmp_path / "plays.csv", *(tmp_path / "shown").iterdir()])
    NightlyJob(write_plan(tmp_path)).run()
    for name in ("served", "users", "candidates", "samples_recall", "samples_ranking"):
        users = set(read(out, name).column("user_id").to_pylist())
        # Of the first night's songs nobody knows yet what becomes of them.
        assert users == (set() if name == "samples_ranking" else {f"u{n}" for n in range(1, 6)})


def test_a_channel_that_comes_or_goes_leaves_a_gap(tmp_path):
    out = tmp_path / "serving" / "export"
    night(tmp_path, 3)
    night(tmp_path, 4, channels=("popular", "rules"))
    night(tmp_path, 5, channels=("popular", "rules"))
    found = read(out, "samples_ranking")
    assert "item_knn_rank" not in found.column_names
    first = [r for r in found.to_pylist() if r["happened_at"].day == 3]
    assert first
    assert all(row["rules_rank"] is None and row["as_served"] for row in first)


def test_lists_of_a_run_that_read_another_log_are_not_kept(tmp_path):
    night(tmp_path, 3)
    write_days(tmp_path, 4)  # the log goes on, the run does not
    sources = ExportSources(interactions=tmp_path / "plays.csv").with_run(tmp_path / "serving")
    report = export_recall(sources, tmp_path / "other")
    assert report.rows["served"] == 0
    assert not report.manifest["samples"]["served_kept"]


def test_embeddings_stand_once_a_song_and_once_a_user(tmp_path):
    needs("torch")
    from audiorec.learning.machine import one_thread
    from audiorec.recall.interests.channel import MIND
    from audiorec.recall.sequence.youtube_dnn.channel import YouTubeDNN

    write_days(tmp_path, 4)
    plays = to_sequences(read_interactions(tmp_path / "plays.csv"))
    with one_thread("tests"):
        for kind, settings in ((YouTubeDNN, {"max_epochs": 1}), (MIND, {"max_epochs": 1})):
            fitted = kind(kind.Recipe(**settings)).fit(RecallData(plays))
            fitted.save(tmp_path / "models" / kind.name)
    models = tuple(sorted((tmp_path / "models").iterdir()))
    (tmp_path / "lists.csv").write_text("user_id,song_id\nu0,s03\nu1,s04\nu1,never\n")
    sources = ExportSources(
        interactions=tmp_path / "plays.csv",
        candidates=(tmp_path / "lists.csv",),
        models=models,
    )
    report = export_recall(sources, tmp_path / "out")
    assert [m["channel"] for m in report.manifest["models"]] == ["mind", "youtube-dnn"]
    songs = by_key(read(tmp_path / "out", "songs"), "song_id")
    users = by_key(read(tmp_path / "out", "users"), "user_id")
    interests = read(tmp_path / "out", "interests_mind").to_pylist()
    assert songs["never",]["embedding_youtube_dnn"] is None
    assert {row["user_id"] for row in interests} == set(plays.owner_ids)
    assert all(np.isclose(np.linalg.norm(row["embedding"]), 1, atol=1e-5) for row in interests)
    assert "embedding_mind" not in users["u0",]
    for row in read(tmp_path / "out", "candidates").to_pylist():
        user = users[row["user_id"],]["embedding_youtube_dnn"]
        song = songs[row["song_id"],]["embedding_youtube_dnn"]
        expected = None if song is None else pytest.approx(float(np.dot(user, song)), abs=1e-5)
        assert row["dot_youtube_dnn"] == expected
        assert row["lists_rank"] >= 1
        assert row["lists_similarity"] in (None, 0.0)
