"""``audiorec recall``: what is printed, written and refused."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_engines import travelling
from made_features import write_features
from made_stores import write_store
from needs import needs

LISTS = (["a", "b", "c"], ["a", "b", "d"], ["b", "c", "a"], ["d", "a", "b"])


@pytest.fixture
def log(tmp_path, monkeypatch):
    rows = ["user_id,song_id,timestamp,event"]
    for hour in range(10):
        for user, songs in enumerate(LISTS):
            rows += [
                f"u{user},{song},2024-01-{1 + hour:02}T{user:02}:{place:02}:00Z,finish"
                for place, song in enumerate(songs)
            ]
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "plays.csv"


def test_a_channel_is_trained_and_asked(log, audiorec):
    code, out, err = audiorec(
        *"recall train rules -i plays.csv --by session --out model --json".split()
    )
    assert code == 0, err
    assert json.loads(out)["songs"] == 4
    assert json.loads(out)["sequences"] == 40
    asked = "recall candidates model -i plays.csv --k 2 --keep-heard --out c.parquet --json"
    code, out, err = audiorec(*asked.split())
    assert code == 0, err
    table = pq.read_table("c.parquet")
    assert len(table) == json.loads(out)["rows"] == 8
    assert set(table.column("channel").to_pylist()) == {"rules"}
    assert table.column("rank").to_pylist() == [1, 2] * 4
    assert set(table.column("model_id").to_pylist()) == {json.loads(out)["model_id"]}
    # Three of the four songs were heard: without --keep-heard one is left.
    code, _, err = audiorec(*"recall candidates model -i plays.csv --out none.parquet".split())
    assert code == 0
    assert "4 candidates for 4 users" in err


def test_a_training_is_judged_as_an_evaluation_does(tmp_path, audiorec, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        f"u{user},{song},{1_700_000_000 + 86_400 * (user + later)},finish"
        for user in range(40)
        for song, later in (("a", 0), ("b", 3))
    ]
    Path("plays.csv").write_text("user_id,song_id,timestamp,event\n" + "\n".join(rows) + "\n")
    words = "-i plays.csv --json"
    code, out, err = audiorec(*f"recall train rules {words} --out model --judge".split())
    assert code == 0, err
    assert err.startswith("split time, 6 queries (50.0% without a history)")
    code, asked, _ = audiorec(*f"recall evaluate rules {words}".split())
    assert code == 0
    judged, measures = json.loads(out)["judged"], json.loads(asked)["measures"]
    assert judged["recall@10"] == 0.5  # b after a; of half of the users nothing is known before
    assert judged["recall@10"] == measures["recall"]["10"][0]
    code, out, _ = audiorec(*f"recall train rules {words} --out other".split())
    assert "judged" not in json.loads(out)


def test_a_model_goes_on_from_an_earlier_one_with_its_settings(log, audiorec):
    needs("torch")
    small = "--set dimension=8 --set max_epochs=6"
    words = f"recall train song2vec -i plays.csv --out first {small} --quiet"
    assert audiorec(*words.split())[0] == 0
    with log.open("a") as rows:
        rows.write("u0,e,2024-02-01T00:00:00Z,finish\nu0,a,2024-02-01T00:01:00Z,finish\n")
    words = "recall train song2vec -i plays.csv --from first --out second --quiet --json"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    assert (json.loads(out)["added_songs"], json.loads(out)["later_plays"]) == (1, 2)
    assert err.endswith("of 5 songs (added songs: 1; later plays: 2): second\n")
    assert "- dimension: 8\n" in Path("second/MODEL_CARD.md").read_text()
    for more, says in (
        ("song2vec --set dimension=16", "song2vec: dimension is 8 in the model to go on from"),
        ("sasrec", "sasrec: cannot go on from a model of song2vec"),
        ("popular", "popular: has no warm start: train without --from"),
    ):
        words = f"recall train {more} -i plays.csv --from first --out third"
        code, _, err = audiorec(*words.split())
        assert (code, err.count(says)) == (2, 1), err
    assert not Path("third").exists()


def test_a_log_of_likes_alone_says_what_trains_on_them(log, audiorec):
    log.write_text(log.read_text().replace(",finish", ",like"))
    code, _, err = audiorec(*"recall train popular -i plays.csv --out model".split())
    note = "note: plays.csv has no finished plays, but 120 likes: --likes trains on them\n"
    assert (code, err) == (
        2,
        f"{note}error: popular: the log has no finished play to learn from\n",
    )
    code, _, err = audiorec(*"recall train popular -i plays.csv --out model --likes".split())
    assert code == 0, err


def test_blocks_of_users_go_to_processes_where_asked(log, audiorec, monkeypatch):
    audiorec(*"recall train item-knn -i plays.csv --out model".split())
    asked = "recall candidates model -i plays.csv --k 3 --keep-heard --out"
    audiorec(*f"{asked} one.parquet".split())
    code, _, err = audiorec(*f"{asked} many.parquet --jobs 2".split())
    assert (code, err) == (0, "12 candidates for 4 users: many.parquet\n")
    monkeypatch.setattr("audiorec.runs.tasks.engine_of", lambda *_a, **_k: travelling)
    one, many = (Path(f"{name}.parquet").read_bytes() for name in ("one", "many"))
    assert one == many


def test_counts_are_checked_and_judged_without_an_order(log, audiorec):
    rows = [f"u{u},s{(u * 3 + n) % 9},{n + 1}" for u in range(12) for n in range(6)]
    Path("counts.csv").write_text("user_id,song_id,weight\n" + "\n".join(rows) + "\n")
    code, out, err = audiorec(*"listening check counts.csv".split())
    assert (code, out.splitlines()[1]) == (0, "kind\tcounts")
    assert "no timestamp: a log of counts, which has no order" in err
    assert "--split random" in err
    code, out, err = audiorec(*"recall evaluate popular als -i counts.csv --k 2 5".split())
    assert code == 0, err
    assert out.splitlines()[0].split("\t")[2:4] == ["hit_rate@5", "recall@5"]
    assert "split random, 12 queries, lists of 5" in err
    code, _, err = audiorec(*"recall evaluate rules -i counts.csv --split last".split())
    assert code == 2
    assert "split last needs the order of plays, and a log of counts has none" in err


def test_a_pipe_says_for_whom_a_channel_was_judged(log, audiorec):
    _, _, err = audiorec(*"recall evaluate popular -i plays.csv --split last --keep-heard".split())
    assert "popular: split last, 4 queries" in err


def test_a_block_that_is_lost_ends_the_command_with_3(log, audiorec, monkeypatch):
    audiorec(*"recall train popular -i plays.csv --out model".split())

    def losing(tasks):
        for task in tasks:
            yield task.lost("it died")

    monkeypatch.setattr("audiorec.runs.tasks.engine_of", lambda *_a, **_k: losing)
    asked = "recall candidates model -i plays.csv --keep-heard --out c.parquet --jobs 2"
    code, _, err = audiorec(*asked.split())
    assert (code, Path("c.parquet").exists()) == (3, False)
    assert "1 of 1 blocks could not be made (users 'u0' to 'u3': it died)" in err
    monkeypatch.setattr("audiorec.runs.tasks.engine_of", lambda *_a, **_k: travelling)
    assert audiorec(*asked.split())[0] == 0
    code, _, err = audiorec(*asked.replace("--jobs 2", "--runner local:tcp://head:1").split())
    assert (code, "a runner must be local or ray[:ADDRESS]" in err) == (2, True)


def test_a_model_names_the_log_that_a_person_is_to_be_forgotten_from(log, audiorec):
    audiorec(*"recall train popular -i plays.csv --out model".split())
    code, out, err = audiorec(*"listening forget u1 plays.csv model --json".split())
    assert code == 0, err
    assert "model" in out
    assert "does not record its training log" not in out
    assert json.loads(out)["files"][1]["train_again"] is True
    assert "u1" not in log.read_text()


def test_plays_that_say_nothing_are_left_out_where_asked(log, audiorec):
    looped = [f"u9,a,2024-02-01T{n:02}:00:00Z,finish" for n in range(12)]
    log.write_text(log.read_text() + "\n".join(looped) + "\n")
    words = "recall train popular -i plays.csv --out model --json"
    plays = [
        json.loads(audiorec(*words.split(), *more)[1])["plays"]
        for more in ([], ["--filter", "looped"])
    ]
    assert plays[0] - plays[1] > 0
    code, _, err = audiorec(*words.split(), "--filter", "loops")
    assert code == 2
    assert "'loops' is not one of 'doubled', 'flood', 'looped'" in err


def test_candidates_keep_to_the_songs_that_are_allowed(log, audiorec):
    audiorec(*"recall train popular -i plays.csv --out model".split())
    log.with_name("only.txt").write_text("c\nnobody-knows\n")
    words = "recall candidates model -i plays.csv --keep-heard --allowed only.txt --out c.parquet"
    assert audiorec(*words.split())[0] == 0
    assert set(pq.read_table("c.parquet").column("song_id").to_pylist()) == {"c"}


@pytest.fixture
def mixed(log):
    """Return the log with a last play of u0 that is new to u0: the others' are repeats."""
    log.write_text(log.read_text() + "u0,d,2024-03-01T00:00:00Z,finish\n")
    return log


def test_evaluation_in_a_pipe_and_as_json(mixed, audiorec):
    words = "recall evaluate rules -i plays.csv --split last --keep-heard --k 1 2"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "measure\trepeats\t@1\t@2"
    rows = {tuple(line.split("\t")[:2]): line.split("\t")[2:] for line in lines[1:]}
    assert set(rows) >= {("ndcg", "kept"), ("ndcg", "left out")}
    assert "CPU-s to fit" in err
    code, out, _ = audiorec(*words.split(), "--json")
    found = json.loads(out)
    for name, way, measured in (
        ("recall", "kept", {k: v[0] for k, v in found["measures"]["recall"].items()}),
        ("recall", "left out", found["repeats_left_out"]["recall"]),
    ):
        assert [float(v) for v in rows[name, way]] == pytest.approx(
            [measured["1"], measured["2"]], abs=1e-4
        )
    assert found["split"] == "last"
    assert set(found["measures"]["recall"]) == {"1", "2"}


def test_where_nothing_is_heard_again_there_is_one_way_of_repeats(log, audiorec):
    words = "recall evaluate rules -i plays.csv --split sessions --keep-heard --k 1 2"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    assert {line.split("\t")[1] for line in out.splitlines()[1:]} == {""}


def test_comparison_says_how_far_each_is_behind(mixed, audiorec):
    words = "recall evaluate popular rules -i plays.csv --split last --keep-heard --k 1"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    header, *rows = (line.split("\t") for line in out.splitlines())
    assert header[:2] == ["channel", "repeats"]
    first, *_ = rows
    assert first[:2] == ["rules", "kept"]
    assert first[-1] == ""
    (second,) = (row for row in rows if row[:2] == ["popular", "kept"])
    assert second[-1].startswith("-")
    figures = [value for row in rows for value in row[2:-1] if value]
    assert all(re.fullmatch(r"\d\.\d{3}", value) for value in figures), figures
    assert [row[-1] for row in rows if row[1] == "left out"] == [""] * (len(rows) - 2)
    code, out, _ = audiorec(*words.split(), "--json")
    assert list(json.loads(out)["ahead_of"]) == ["popular"]


def test_folds_are_one_table_of_all_their_queries(log, audiorec):
    words = "recall evaluate popular rules -i plays.csv --split time --keep-heard --k 1".split()
    one, three = (
        json.loads(audiorec(*words, *more, "--json")[1]) for more in ([], ["--folds", "3"])
    )
    assert (one["folds"], three["folds"]) == (1, 3)
    assert three["channels"][0]["queries"] > one["channels"][0]["queries"]
    code, _, err = audiorec(*words, "--folds", "3")
    assert code == 0
    assert "split time in 3 folds, " in err
    code, _, err = audiorec(*"recall evaluate rules -i plays.csv --split last --folds 2".split())
    assert (code, "folds are cut by time" in err) == (2, True)


def test_many_users_without_a_history_are_said(log, audiorec):
    late = [f"new{n},a,2025-01-01T00:00:00Z,finish" for n in range(40)]
    log.write_text(log.read_text() + "\n".join(late) + "\n")
    code, _, err = audiorec(*"recall evaluate popular -i plays.csv --split time".split())
    assert code == 0
    assert "queries have no history: try the split last" in err


def test_an_evaluation_says_more_than_accuracy(log, audiorec):
    words = "recall evaluate rules -i plays.csv --split sessions --keep-heard --k 1"
    code, _, err = audiorec(*words.split())
    assert code == 0, err
    assert "MB at the peak" in err
    assert "short history" in err
    found = json.loads(audiorec(*words.split(), "--json")[1])
    assert found["repeats"] == "kept"
    assert set(found["user_strata"]) == {"no history", "short history", "long history"}
    assert found["peak_mb"] > 1


def test_a_table_of_candidates_is_a_channel_among_others(log, audiorec):
    rows = [f"u{user},{song},{rank}" for user in range(4) for rank, song in enumerate("cdab", 1)]
    log.with_name("theirs.csv").write_text("\n".join(["user_id,song_id,rank", *rows]))
    words = "recall evaluate rules external:theirs.csv -i plays.csv --keep-heard --k 1 --json"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    found = {c["channel"]: c for c in json.loads(out)["channels"]}
    assert set(found) == {"rules", "external:theirs.csv"}
    alone = audiorec(
        *"recall evaluate external:theirs.csv -i plays.csv --keep-heard --json".split()
    )
    made = audiorec(
        *"recall evaluate --candidates theirs.csv -i plays.csv --keep-heard --json".split()
    )
    assert json.loads(alone[1])["measures"] == json.loads(made[1])["measures"]


def test_a_test_set_of_its_own(log, audiorec):
    log.with_name("targets.csv").write_text("user_id,song_id\nu0,d\nu1,c\n")
    words = "recall evaluate popular -i plays.csv --test-histories plays.csv --targets targets.csv"
    code, out, err = audiorec(*words.split(), "--keep-heard", "--json")
    assert code == 0, err
    assert json.loads(out)["queries"] == 2
    assert json.loads(out)["split"] == "given"


@pytest.fixture
def songs(tmp_path, monkeypatch):
    """A store and features of 30 songs, and plays of 40 users with two tastes."""
    ids = write_store(tmp_path / "vecs.parquet", 30)
    rng = np.random.default_rng(1)
    sounds = (np.arange(30)[:, None] % 2 + rng.normal(0, 0.1, (30, 4))).astype(np.float32)
    write_features(tmp_path / "features.parquet", ids, sounds)
    rows = ["user_id,song_id,timestamp,event"]
    for user in range(40):
        for day, song in enumerate(rng.permutation(14)[:4] * 2 + user % 2):
            rows.append(f"u{user:02},{ids[song]},2024-05-{day + 1:02}T10:00:00Z,finish")
    (tmp_path / "plays.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "epoch"),
    [
        ("youtube-dnn -v vecs.parquet --set max_epochs=2 --set seed=3", "epoch 2: loss"),
        ("youtube-dnn --set max_epochs=1", "epoch 1: loss"),
        ("user-audio -v features.parquet --set max_epochs=1", "epoch 1: loss"),
        (
            "user-audio -v vecs.parquet --set max_epochs=0",
            "user-audio: trained on 160 plays of 30 songs",
        ),
    ],
)
def test_channels_that_are_trained_by_steps(songs, audiorec, words, epoch):
    needs("torch")
    before = {path.name for path in songs.iterdir()}
    code, _, err = audiorec("recall", "train", *words.split(), *"-i plays.csv --out m".split())
    assert code == 0, err
    assert epoch in err
    assert {path.name for path in songs.iterdir()} - before == {"m", "m.run.json"}  # no m.run
    code, _, err = audiorec(*"recall candidates m -i plays.csv --k 3 --out c.parquet".split())
    assert code == 0, err
    assert set(pq.read_table("c.parquet").column("reason").to_pylist()) == {"taste"}


def test_a_training_that_is_stopped_goes_on(songs, audiorec, monkeypatch):
    needs("torch")
    import signal

    from audiorec.recall.sequence.youtube_dnn import trainer

    words = "recall train youtube-dnn -i plays.csv --set max_epochs=3 --out".split()
    assert audiorec(*words, "whole")[0] == 0
    step, steps = trainer.YouTubeDNNLearner.step, []

    def interrupted(self, batch):
        steps.append(1)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.YouTubeDNNLearner, "step", interrupted)
        code, _, err = audiorec(*words, "cut")
    assert code == 130
    assert "run the same command to resume" in err
    assert (songs / "cut.run").exists()
    assert not (songs / "cut").exists()
    assert audiorec(*words, "cut")[0] == 0
    assert not (songs / "cut.run").exists()
    whole, cut = (songs / name / "model.safetensors" for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()


@pytest.mark.parametrize("sound", ["-v features.parquet", "-v vecs.parquet"])
@pytest.mark.parametrize("channel", ["youtube-dnn", "user-audio"])
def test_users_and_songs_share_a_space(songs, audiorec, channel, sound):
    needs("torch")
    words = f"recall train {channel} {sound} -i plays.csv --set max_epochs=1 --out m --json -q"
    code, out, err = audiorec(*words.split())
    assert code == 0, err
    model_id = json.loads(out)["model_id"]
    code, out, err = audiorec(*"recall users m -i plays.csv --out u.parquet --json".split())
    assert code == 0, err
    assert (json.loads(out)["users"], json.loads(out)["model_id"]) == (40, model_id)
    for more, name in (("", "own"), (sound, "heard")):
        words = f"recall songs m {more} --out {name}.parquet --json"
        code, out, err = audiorec(*words.split())
        assert code == 0, err
        assert (json.loads(out)["songs"], json.loads(out)["model_id"]) == (30, model_id)
    assert (
        audiorec(
            *"recall train user-audio -i plays.csv -u u.parquet -o n -q".split(), *sound.split()
        )[0]
        == 0
    )
    code, out, err = audiorec(*"recall songs n --out e.parquet --json".split())
    assert json.loads(out)["space"] == model_id
    own, heard = (pq.read_table(f"{name}.parquet") for name in ("own", "heard"))
    if channel == "user-audio":  # songs are known by their sound alone
        np.testing.assert_allclose(
            own.column("embedding").to_pylist(), heard.column("embedding").to_pylist(), atol=1e-5
        )


def test_sound_of_another_kind_is_refused(songs, audiorec):
    needs("torch")
    words = "recall train user-audio -i plays.csv -v features.parquet --set max_epochs=0 --out m"
    assert audiorec(*words.split())[0] == 0
    code, _, err = audiorec(*"recall songs m -v vecs.parquet --out e.parquet".split())
    assert code == 2
    assert "trained on features of extractor 0123456789abcdef, got vectors" in err
    assert (
        audiorec(*"recall train youtube-dnn -i plays.csv --set max_epochs=1 --out y".split())[0]
        == 0
    )
    code, _, err = audiorec(*"recall songs y -v vecs.parquet --out e.parquet".split())
    assert code == 2
    assert "trained without --vectors" in err
    assert audiorec(*"recall train rules -i plays.csv --out r".split())[0] == 0
    code, _, err = audiorec(*"recall users r -i plays.csv --out u.parquet".split())
    assert code == 2
    assert "is a model of rules, which has no embeddings" in err


def test_the_list_of_channels(audiorec):
    code, out, _ = audiorec("recall", "train", "--json")
    assert code == 0
    assert {c["channel"] for c in json.loads(out)["channels"]} >= {"vs-knn", "nearest-audio"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "train sasrex -i plays.csv --out m",
            "unknown channel 'sasrex'; there are: als, comirec-sa,",
        ),
        ("train nearest-audio -i plays.csv --out m", "give --vectors"),
        ("train external -i plays.csv --out m", "name the table of candidates, as external:FILE"),
        ("train external:plays.csv -i plays.csv --out m", "same song twice"),
        (
            "evaluate external:gone.csv -i plays.csv --keep-heard",
            "gone.csv: cannot be read as a table: no such file",
        ),
        ("train rules -i plays.csv --epochs 2 --out m", "rules has no option --epochs"),
        ("train youtube-dnn -i plays.csv --users plays.csv --out m", "has no option --users"),
        ("train user-audio -i plays.csv -v no.parquet --out m", "no store at no.parquet"),
        ("evaluate -i plays.csv", "name channels or models, or give --candidates"),
        ("evaluate rules -i plays.csv --targets t.csv", "must be given together"),
        ("evaluate rules -i gone.csv", "no such file"),
        ("evaluate popular rules -i plays.csv --set window=1", "--set needs exactly one channel"),
        ("candidates gone -i plays.csv --out c.parquet", "gone: no such folder"),
    ],
)
def test_what_is_refused(log, audiorec, words, said):
    code, _, err = audiorec("recall", *words.split())
    assert code == 2
    assert said in err


def test_candidates_for_embeddings_are_those_for_the_histories(log, audiorec):
    needs("torch")
    train = "recall train youtube-dnn -i plays.csv --set max_epochs=1 --out taste -q"
    assert audiorec(*train.split())[0] == 0
    assert audiorec(*"recall users taste -i plays.csv --out users.parquet".split())[0] == 0
    ask = "recall candidates taste --keep-heard --out"
    assert audiorec(*f"{ask} log.parquet -i plays.csv".split())[0] == 0
    code, _, err = audiorec(*f"{ask} users.out.parquet --users users.parquet".split())
    assert code == 0, err
    both = [pq.read_table(name) for name in ("log.parquet", "users.out.parquet")]
    columns = ("user_id", "song_id", "rank", "reason")
    assert both[0].select(columns).equals(both[1].select(columns))
    # With the log as well, what was heard stays out.
    left = "recall candidates taste --users users.parquet -i plays.csv --out left.parquet"
    assert audiorec(*left.split())[0] == 0
    assert len(pq.read_table("left.parquet")) == 4


def test_candidates_need_users_of_their_own_space(log, audiorec, tmp_path):
    assert audiorec(*"recall train rules -i plays.csv --out model".split())[0] == 0
    code, _, err = audiorec(*"recall candidates model --out c.parquet".split())
    assert (code, "use --interactions, --profiles or --users" in err) == (2, True)
    np.savez(tmp_path / "theirs.npz", ids=np.array(["u0"]), embeddings=np.ones((1, 3), np.float32))
    assert audiorec(*"recall users --import theirs.npz --out theirs.parquet".split())[0] == 0
    code, _, err = audiorec(
        *"recall candidates model --users theirs.parquet --out c.parquet".split()
    )
    assert (code, "rules has no user embeddings" in err) == (2, True)


def test_a_share_of_the_list_is_for_songs_that_nobody_played(log, audiorec, tmp_path):
    ids = write_store(tmp_path / "vecs.parquet", 6)
    (tmp_path / "few.csv").write_text(
        "\n".join(
            ["user_id,song_id,timestamp,event", *(f"u,{s},2024-01-01,finish" for s in ids[:3])]
        )
    )
    train = "recall train nearest-audio -i few.csv -v vecs.parquet --out model"
    assert audiorec(*train.split())[0] == 0
    ask = "recall candidates model -i few.csv --k 4 --keep-heard --cold-share 0.5 --out c.parquet"
    code, _, err = audiorec(*ask.split())
    assert code == 0, err
    table = pq.read_table("c.parquet")
    assert table.column("cold").to_pylist() == [False, False, True, True]
    assert table.column("rank").to_pylist() == [1, 2, 1, 2]


def test_evaluate_takes_several_channels(log, audiorec):
    code, out, err = audiorec(
        *"recall evaluate popular rules -i plays.csv --k 2 --keep-heard --json".split()
    )
    assert code == 0, err
    assert [one["channel"] for one in json.loads(out)["channels"]] == ["popular", "rules"]
    code, out, err = audiorec(
        *"recall evaluate rules -i plays.csv --k 2 --keep-heard --json".split()
    )
    assert json.loads(out)["channel"] == "rules"
    both = "recall evaluate popular rules -i plays.csv --set window=1"
    code, out, err = audiorec(*both.split())
    assert (code, "--set needs exactly one channel" in err) == (2, True)
