"""`recall.serving.playlists`: playlists that people made, for one user and for all."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_candidates import table_of

from audiorec.errors import InputError
from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import Sequences
from audiorec.recall.serving.nightly.places import open_night
from audiorec.recall.serving.one_user.recommend import ranked_lists
from audiorec.recall.serving.playlists import LISTS, ListRanking, write_lists

LOG = """user_id,song_id,timestamp,event,list_id
u1,a,2026-01-01T08:00:00Z,finish,
u1,b,2026-01-01T09:00:00Z,finish,
u2,b,2026-01-01T08:00:00Z,finish,
u2,c,2026-01-01T09:00:00Z,finish,
u3,a,2026-01-01T08:00:00Z,finish,
u3,c,2026-01-01T09:00:00Z,finish,
"""
PLAYLISTS = """user_id,song_id,event,list_id
u1,a,playlist,mine
u1,c,playlist,mine
u2,a,playlist,theirs
u2,c,playlist,theirs
u2,z,playlist,theirs
"""


def test_values_worked_by_hand():
    # "b" is proposed first and played, so it counts as played; "one" holds "a" twice.
    lists = Sequences.from_lists([["a", "a", "b"], ["c"], ["z"]], ["one", "two", "none"])
    ranking = ListRanking(lists)
    first = np.zeros(3, np.int64)
    proposed = ranking.songs_of(first, ["b", "a", "c"], 1 / (20 + np.arange(1, 4)), 1)
    known = ranking.songs_of(first[:1], ["b"], np.ones(1), 1)
    found, values = ranking.best(proposed, known, 5)
    assert found.tolist() == [[0, 1, -1]]
    expected = [(1 / 22 + 0.5 / 20) / np.sqrt(2 + 10), 1 / 23 / np.sqrt(1 + 10), 0]
    np.testing.assert_allclose(values[0], expected, atol=1e-9)


def test_all_users_at_once_get_what_each_gets_alone(tmp_path):
    rng = np.random.default_rng(3)
    songs, users = [f"s{n}" for n in range(40)], [f"u{n}" for n in range(450)]
    made = [rng.choice(songs, rng.integers(1, 12), replace=False).tolist() for _ in range(30)]
    lists = Sequences.from_lists(made, [f"l{n}" for n in range(30)])
    played = [rng.choice(songs, rng.integers(0, 8)).tolist() for _ in users]
    plays = Sequences.from_lists(played, users)
    proposed = [rng.choice(songs, 15, replace=False).tolist() for _ in users]
    makers = [users[n] for n in rng.integers(0, 5, 30)]
    fused = table_of("rules", dict(zip(users, proposed, strict=True))).sort_by("user_id")
    pq.write_table(fused, tmp_path / "fused.parquet")
    ranking = ListRanking(lists, makers)
    write_lists(tmp_path / "l.parquet", tmp_path / "fused.parquet", ranking, plays)
    table = pq.read_table(tmp_path / "l.parquet")
    assert table.schema.equals(LISTS)
    found = {}
    for row in table.to_pylist():
        found.setdefault(row.pop("user_id"), []).append(row)
    for user, of, heard in zip(users, proposed, played, strict=True):
        own = {f"l{n}" for n, maker in enumerate(makers) if maker == user}
        wanted = ranked_lists(ranking, proposed=of, known=heard, name=str, user_id=user)
        assert not own & {one.list_id for one in wanted}
        columns = ("rank", "list_id", "songs", "known", "proposed")
        assert found.get(user, []) == [{n: getattr(one, n) for n in columns} for one in wanted]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "plays.csv").write_text(LOG)
    (tmp_path / "playlists.csv").write_text(PLAYLISTS)
    (tmp_path / "recall.toml").write_text(
        '[recall]\ninteractions = "plays.csv"\nout = "serving"\nlists = "playlists.csv"\n'
        f"k = 3\ndepth = 3\nchannels = {json.dumps(['rules', 'popular'])}\n"
    )
    return tmp_path


def test_a_night_ranks_them_for_everybody_and_never_a_users_own(home):
    open_night(home / "recall.toml").job.run()
    rows = pq.read_table(home / "serving" / "lists.parquet").to_pylist()
    found = {}
    for row in rows:
        found.setdefault(row["user_id"], []).append(row["list_id"])
    assert found == {"u1": ["theirs"], "u2": ["mine"], "u3": ["mine", "theirs"]}
    first = next(row for row in rows if row["user_id"] == "u1")
    assert (first["songs"], first["known"], first["proposed"]) == (3, 1, 1)
    report = (home / "serving" / "report.md").read_text()
    assert "## Playlists that people made\n\n2 for 3 users." in report


def test_other_playlists_train_nothing_again(home):
    open_night(home / "recall.toml").job.run()
    (home / "playlists.csv").write_text(PLAYLISTS + "u3,b,playlist,new\n")
    job = open_night(home / "recall.toml").job
    assert {step.name for step in job.steps() if step.is_done} >= {"train rules", "ask rules"}
    job.run()
    rows = pq.read_table(home / "serving" / "lists.parquet").to_pylist()
    assert {row["user_id"] for row in rows if row["list_id"] == "new"} == {"u1", "u2"}


def test_without_list_ids_a_user_has_one_list(tmp_path):
    kept = [line.rpartition(",")[0] for line in PLAYLISTS.splitlines()]
    (tmp_path / "p.csv").write_text("\n".join(kept) + "\n")
    ranking = ListRanking.of_log(read_interactions(tmp_path / "p.csv"))
    assert list(ranking.makers) == list(ranking.lists.owner_ids) == ["u1", "u2"]


def test_a_log_without_playlists_is_refused(home):
    (home / "playlists.csv").write_text(LOG)
    with pytest.raises(InputError, match="playlist"):
        open_night(home / "recall.toml").job.run()
