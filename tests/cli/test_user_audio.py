"""User-audio by commands: train, embed, judge, hold out; what they write, print and refuse."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_listening import EXTRACTOR, read_embeddings, write_catalogue, write_features
from made_songs import write_song
from needs import needs

needs("torch")


QUICK = ("--set", "max_epochs=2", "--set", "hidden=4", "-q")
HELD = ("--set", "test=0.25", "--set", "valid=0.2")
LIKED = "-i log.csv --likes -v features.parquet".split()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    write_catalogue(folder)
    return folder


@pytest.fixture
def home(made, tmp_path, monkeypatch):
    shutil.copytree(made, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def train(audiorec, home):
    """Train on the catalogue's users; return the model's folder, stdout and stderr."""

    def run(*more, name="model", users=("-u", "users.parquet"), log=LIKED):
        words = ("recall", "train", "user-audio", *log, *users, "-o", name, *QUICK, *HELD, *more)
        code, out, err = audiorec(*words)
        assert code == 0, err
        return home / name, out, err

    return run


def judged(audiorec, split="artists", users=("-u", "users.parquet"), files=LIKED):
    words = ("recall", "evaluate", "model", "--split", split, "--json")
    code, out, err = audiorec(*words, *files, *users)
    assert code == 0, err
    return json.loads(out)["panels"]


def test_train_writes_a_bundle_and_its_record(train, home):
    before = {p.name for p in home.iterdir()}
    model, _, _ = train("--json")
    assert {p.name for p in home.iterdir()} - before == {"model", "model.run.json"}
    config = json.loads((model / "model.json").read_text())
    assert config["made_by"] == f"features of extractor {EXTRACTOR}"
    assert config["space"] == "users model"
    assert (config["recipe"]["test"], config["recipe"]["valid"]) == (0.25, 0.2)
    assert config["figures"]["auc"] > 0.8
    assert config["learnt_from"]["disliked_pairs"] > 0
    assert config["learnt_from"]["users_without_embedding"] == 0
    assert "AUC by user" in (model / "MODEL_CARD.md").read_text()
    content = b"".join(file.read_bytes() for file in sorted(model.iterdir()))
    assert b"u007" not in content
    assert b"users.parquet" not in content


def test_users_of_a_history_share_the_models_space(audiorec, train, home):
    train(users=(), name="model")
    code, out, err = audiorec(*"recall users model -i log.csv -o own.parquet --json".split())
    assert code == 2  # likes are no plays: the log has none
    text = (home / "log.csv").read_text().replace(",like", ",finish")
    (home / "plays.csv").write_text(text)
    code, out, err = audiorec(*"recall users model -i plays.csv -o own.parquet --json".split())
    assert code == 0, err
    assert json.loads(out)["users"] == 50
    code, _, err = audiorec(*"recall songs model -v features.parquet -o e.parquet".split())
    assert code == 0, err
    assert (
        read_embeddings("own.parquet")[2]["model_id"] == read_embeddings("e.parquet")[2]["model_id"]
    )
    methods = judged(audiorec, users=())["artists"]["methods"]
    assert methods["user-audio"]["auc"][0] > 0.6


def test_embed_the_features(train, audiorec, home):
    train()
    code, out, err = audiorec(*"recall songs model -v features.parquet -o e.parquet --json".split())
    assert code == 0, err
    assert json.loads(out)["songs"] == 80
    ids, embeddings, metadata = read_embeddings(home / "e.parquet")
    assert ids == sorted(ids)
    assert embeddings.shape == (80, 6)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert metadata["kind"] == "song_embeddings"
    assert metadata["space"] == "users model"
    assert metadata["extractor_id"] == EXTRACTOR
    table = pq.read_table(home / "e.parquet")
    told = ["content_hash", "segments", "title", "artist", "uri", "music"]
    assert table.column_names == ["song_id", "embedding", *told]
    assert table.column("content_hash")[0].as_py() == f"hash of {ids[0]}"
    assert 1 <= table.column("segments")[0].as_py() <= 6


def test_judged_beside_the_baselines(train, audiorec, home):
    train("--set", "new_songs=0.2")
    panels = judged(audiorec)
    assert set(panels) == {"artists", "new_songs"}
    methods = panels["artists"]["methods"]
    assert next(iter(methods)) == "user-audio"
    assert methods["user-audio"]["auc"][0] > 0.9
    nearest = methods["centroid over the 50 nearest users"]
    assert len(nearest["ahead"]) == 3
    for chance in ("random", "shuffled audio"):
        assert 0.42 < methods[chance]["auc"][0] < 0.58
        assert methods[chance]["ahead"][1] > 0
    assert "popularity of the artist" not in methods  # nobody is known to like one
    assert "popularity of the artist" in panels["new_songs"]["methods"]
    code, out, err = audiorec(
        "recall", "evaluate", "model", "--split", "artists", *LIKED, "-u", "users.parquet"
    )
    assert code == 0, err
    assert out.startswith("method\tAUC\tlow\thigh\tbehind")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("popular --split artists", "judges one trained model: name its folder"),
        ("model popular --split artists", "judges one trained model: name its folder"),
        ("model --split artists --k 5 10", "--split artists needs a single --k"),
        ("popular --split last -u users.parquet", "--users is for --split artists"),
        ("popular --split last --likes", "likes are for --split artists"),
    ],
)
def test_held_out_artists_are_judged_for_one_model(home, train, audiorec, words, said):
    train()
    code, _, err = audiorec("recall", "evaluate", *words.split(), "-i", "log.csv")
    assert code == 2
    assert said in " ".join(err.split())


def test_judged_on_songs_of_another_catalogue(train, audiorec, home):
    train("--set", "test=0")
    (home / "other").mkdir()
    write_catalogue(home / "other", seed=3)
    files = "-v other/features.parquet -i other/log.csv --likes -u other/users.parquet".split()
    code, _, err = audiorec("recall", "evaluate", "model", "--split", "artists", *files)
    assert code == 2
    assert "trained on all artists" in err
    panels = judged(audiorec, "all-artists", files=files, users=())
    # sounds and tastes are of the same six numbers: what was learnt carries over
    assert panels["artists"]["methods"]["user-audio"]["auc"][0] > 0.8


def test_holdout_leaves_out_what_is_judged(audiorec, home):
    shares = "--held-out 0.25 --valid 0.2"
    words = f"listening prepare log.csv -v features.parquet {shares} --json"
    code, out, err = audiorec(*words.split(), "-o", home / "known.parquet")
    assert code == 0, err
    report = json.loads(out)
    kept = pq.read_table(home / "known.parquet")
    assert report["kept"] == kept.num_rows < report["rows"]
    assert report["songs"]["test"] > 0
    assert len(set(kept.column("song_id").to_pylist())) <= report["songs"]["train"]
    code, _, err = audiorec("listening", "check", home / "known.parquet")
    assert code == 0, err


def test_refuses_sound_of_another_maker(train, audiorec, home):
    train()
    write_features(
        home / "odd.parquet", ["a", "b"], np.zeros((2, 6), np.float32), extractor_id="f" * 16
    )
    code, _, err = audiorec(*"recall songs model -v odd.parquet -o e.parquet".split())
    assert code == 2
    assert "got features of extractor ffffffffffffffff" in err
    code, _, err = audiorec(*"recall songs model -v vecs.parquet -o e.parquet".split())
    assert code == 2
    assert "give --vectors features.parquet, or the audio files" in err
    assert not (home / "e.parquet").exists()


def test_refuses_audio_that_would_be_extracted_otherwise(train, audiorec, home):
    train()
    write_song(home / "songs" / "new.flac", seed=1)
    code, _, err = audiorec(*"recall songs model songs -o e.parquet -j 1".split())
    assert code == 2
    assert "trained on features of extractor 0123456789abcdef, this audiorec makes" in err
    assert not (home / "e.parquet.work").exists()
    code, _, err = audiorec(*"recall songs model songs -v features.parquet -o e.parquet".split())
    assert code == 2
    assert "give audio files or --vectors" in err
    code, _, err = audiorec(*"recall songs model features.parquet -o e.parquet".split())
    assert code == 4
    assert "--vectors features.parquet" in err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("-u nobody.parquet", "no such file"),
        ("--set valid=0.8 --set test=0.3", "leave artists and songs"),
        ('--set inputs=["mtt_tags"]', "no features mtt_tags"),
        ("--set end_to_end=true", "end-to-end training decodes songs again: give --vectors"),
        ("--set loss=other", "loss must be"),
        ("--set device=nowhere", "cannot use device 'nowhere'"),
    ],
)
def test_refusals_write_nothing(audiorec, home, changes, message):
    (home / "vecs.parquet").rename(home / "kept.parquet")
    before = {p.name for p in home.iterdir()}
    words = (
        "recall",
        "train",
        "user-audio",
        *LIKED,
        "-o",
        "m",
        "--set",
        "max_epochs=0",
        *changes.split(),
    )
    code, _, err = audiorec(*words)
    assert (code, message in err) == (2, True), err
    assert {p.name for p in home.iterdir()} == before


def test_refuses_users_of_another_space(train, audiorec, home):
    from audiorec.store.embeddings import write_embeddings

    train()
    users = np.ones((50, 6), np.float32)
    names = [f"u{u:03}" for u in range(50)]
    write_embeddings(home / "odd.parquet", names, users, kind="users", model_id="another")
    code, _, err = audiorec(
        "recall", "evaluate", "model", "--split", "artists", *LIKED, "-u", "odd.parquet"
    )
    assert code == 2
    assert "users of another" in err


def test_other_channels_with_a_space_are_judged_by_the_same_command(audiorec, home):
    text = (home / "log.csv").read_text().replace(",like", ",finish")
    (home / "plays.csv").write_text(text)
    words = "recall train youtube-dnn -i plays.csv -v vecs.parquet --set max_epochs=1 -o model -q"
    assert audiorec(*words.split())[0] == 0
    files = "-i plays.csv -v vecs.parquet".split()
    code, _, err = audiorec("recall", "evaluate", "model", "--split", "artists", *files)
    assert code == 2
    assert "use --split all-artists if it heard none of these songs" in err
    methods = judged(audiorec, "all-artists", files=files, users=())["artists"]["methods"]
    assert next(iter(methods)) == "youtube-dnn"
    assert "centroid, vector" in methods
