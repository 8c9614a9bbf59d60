"""``audiorec metric``: train, embed, evaluate, holdout; what they write, print and refuse."""

import json
import shutil
import signal

import numpy as np
import pyarrow.parquet as pq
import pytest
from made_listening import EXTRACTOR, read_embeddings, write_catalogue, write_features
from made_songs import write_song
from needs import needs

needs("torch")

QUICK = ("--epochs", "2", "--hidden", "4", "--dimension", "6", "-q")
HELD = ("--test-share", "0.25", "--valid-share", "0.2")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    write_catalogue(folder)
    return folder


@pytest.fixture
def home(made, tmp_path):
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def train(audiorec, home):
    """Train on the catalogue's users; return the model's folder."""

    def run(*more, name="model"):
        code, out, err = audiorec(
            *("metric", "train", home / "features.parquet", "-i", home / "log.csv"),
            *("-u", home / "users.parquet", "-o", home / name, *QUICK, *HELD, *more),
        )
        assert code == 0, err
        return home / name, out, err

    return run


def test_train_writes_a_bundle_and_nothing_else(train, home):
    before = {p.name for p in home.iterdir()}
    model, out, err = train("--json")
    report = json.loads(out)
    assert report["schema"] == "audiorec/metric-train/1"
    assert report["auc"] > 0.8
    assert report["counts"]["users_without_embedding"] == 0
    assert f"model {report['model_id']}" in err
    assert {p.name for p in home.iterdir()} - before == {"model"}
    config = json.loads((model / "model.json").read_text())
    assert config["extractor_id"] == EXTRACTOR
    assert config["space"] == "users model"
    assert config["split"] == {"valid": 0.2, "test": 0.25, "new_songs": 0.0, "seed": 0}
    lines = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(len(lines)))
    assert "AUC by user" in (model / "MODEL_CARD.md").read_text()


def test_the_same_seed_gives_the_same_model(train):
    runs = [("a", ()), ("b", ()), ("c", ("--seed", "1"))]
    ids = [json.loads(train("--json", *more, name=n)[1])["model_id"] for n, more in runs]
    assert ids[0] == ids[1] != ids[2]


def test_learnt_users_share_the_models_space(audiorec, home):
    code, out, err = audiorec(
        *("metric", "train", home / "features.parquet", "-i", home / "log.csv"),
        *("-o", home / "m", "--json", *QUICK, *HELD),
    )
    assert code == 0, err
    ids, users, metadata = read_embeddings(home / "m.users.parquet")
    # Who likes nothing that was learnt from has no direction: counted, and not written.
    left_out = json.loads(out)["counts"]["users_without_embedding"]
    assert left_out > 0
    assert len(ids) == 50 - left_out
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1, atol=1e-5)
    code, _, err = audiorec(
        *("metric", "embed", home / "features.parquet", "-m", home / "m", "-o", home / "e.parquet")
    )
    assert code == 0, err
    _, _, songs = read_embeddings(home / "e.parquet")
    assert songs["model_id"] == metadata["model_id"]
    code, _, err = audiorec(
        *("metric", "evaluate", home / "m", "-f", home / "features.parquet"),
        *("-i", home / "log.csv", "-u", home / "m.users.parquet"),
    )
    assert code == 0, err


def test_embed_the_features(train, audiorec, home):
    model, _, _ = train()
    code, out, err = audiorec(
        *("metric", "embed", home / "features.parquet", "-m", model),
        *("-o", home / "e.parquet", "--json"),
    )
    assert code == 0, err
    assert json.loads(out)["embedded"] == 80
    ids, embeddings, metadata = read_embeddings(home / "e.parquet")
    assert ids == sorted(ids)
    assert embeddings.shape == (80, 6)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    assert metadata["kind"] == "song_embeddings"
    assert metadata["space"] == "users model"
    assert metadata["extractor_id"] == EXTRACTOR
    assert pq.read_schema(home / "e.parquet").names == [
        "song_id",
        "embedding",
        "content_hash",
        "segments",
        "title",
        "artist",
        "uri",
        "music",
    ]


def test_evaluate_beside_the_baselines(train, audiorec, home):
    model, _, _ = train("--new-song-share", "0.2")
    code, out, err = audiorec(
        *("metric", "evaluate", model, "-f", home / "features.parquet", "-i", home / "log.csv"),
        *("-u", home / "users.parquet", "--json"),
    )
    assert code == 0, err
    document = json.loads(out)
    assert set(document["panels"]) == {"artists", "new_songs"}
    methods = document["panels"]["artists"]["methods"]
    assert next(iter(methods)) == "metric"
    assert methods["metric"]["auc"][0] > 0.8
    assert methods["metric"]["auc"][0] > methods["centroid, mean features"]["auc"][0]
    for chance in ("random", "shuffled audio"):
        assert 0.42 < methods[chance]["auc"][0] < 0.58
        assert methods[chance]["ahead"][1] > 0
    assert "popularity of the artist" not in methods  # nobody is known to like one
    assert "popularity of the artist" in document["panels"]["new_songs"]["methods"]
    code, out, err = audiorec(
        *("metric", "evaluate", model, "-f", home / "features.parquet", "-i", home / "log.csv"),
        *("-u", home / "users.parquet"),
    )
    assert out.startswith("method\tAUC\tlow\thigh\tbehind")


def test_evaluate_on_songs_of_another_catalogue(train, audiorec, home, tmp_path):
    model, _, _ = train("--test-share", "0")
    (tmp_path / "other").mkdir()
    write_catalogue(tmp_path / "other", seed=3)
    files = ("-f", tmp_path / "other/features.parquet", "-i", tmp_path / "other/log.csv")
    users = ("-u", tmp_path / "other/users.parquet")
    code, _, err = audiorec("metric", "evaluate", model, *files, *users)
    assert code == 2
    assert "trained on all artists" in err
    code, out, err = audiorec("metric", "evaluate", model, *files, *users, "--all-songs", "--json")
    assert code == 0, err
    # sounds and tastes are of the same six numbers: what was learnt carries over
    assert json.loads(out)["panels"]["artists"]["methods"]["metric"]["auc"][0] > 0.8


def test_users_without_an_embedding_are_not_judged(train, audiorec, home):
    from audiorec.store.embeddings import write_embeddings

    model, _, _ = train()
    ids, users, _ = read_embeddings(home / "users.parquet")
    some = {"kind": "users", "model_id": "users model"}
    write_embeddings(home / "few.parquet", ids[:20], users[:20], **some)
    counts = []
    for name in ("users", "few"):
        code, out, err = audiorec(
            *("metric", "evaluate", model, "-f", home / "features.parquet"),
            *("-i", home / "log.csv", "-u", home / f"{name}.parquet", "--json"),
        )
        assert code == 0, err
        counts.append(json.loads(out)["panels"]["artists"]["users"])
    assert counts[1] <= 20 < counts[0]


def test_songs_that_stand_together(audiorec, home):
    code, _, err = audiorec(
        *("metric", "train", home / "features.parquet", "-i", home / "log.csv", "--from"),
        *("sessions", "-o", home / "m", *QUICK),
    )
    # likes of one user lie a day apart: no two songs stand in one session
    assert code == 2
    assert "no two known songs stand in one of its sessions" in err
    assert not (home / "m.run").exists()
    text = (home / "log.csv").read_text().replace(",like", ",playlist")
    (home / "lists.csv").write_text(text)
    code, _, err = audiorec(
        *("metric", "train", home / "features.parquet", "-i", home / "lists.csv", "--from"),
        *("playlists", "-o", home / "m", *QUICK, "--json"),
    )
    assert code == 0, err
    assert json.loads((home / "m" / "model.json").read_text())["space"] == ""
    assert not (home / "m.users.parquet").exists()


def test_holdout_leaves_out_what_is_judged(audiorec, home):
    code, out, err = audiorec(
        *("metric", "holdout", home / "features.parquet", "-i", home / "log.csv"),
        *("-o", home / "known.parquet", *HELD, "--json"),
    )
    assert code == 0, err
    report = json.loads(out)
    kept = pq.read_table(home / "known.parquet")
    assert report["kept"] == kept.num_rows < report["rows"]
    assert report["songs"]["test"] > 0
    assert len(set(kept.column("song_id").to_pylist())) <= report["songs"]["train"]
    code, _, err = audiorec("listening", "check", home / "known.parquet")
    assert code == 0, err


def test_a_stopped_training_goes_on(train, audiorec, home, monkeypatch):
    from audiorec.recall.audio import trainer as training

    whole, _, _ = train(name="whole")
    step, steps = training._TowerLearner.step, []

    def interrupted(self, batch):
        steps.append(batch.key)
        if len(steps) == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch)

    arguments = (
        *("metric", "train", home / "features.parquet", "-i", home / "log.csv"),
        *("-u", home / "users.parquet", "-o", home / "cut", *QUICK, *HELD),
    )
    with monkeypatch.context() as patch:
        patch.setattr(training._TowerLearner, "step", interrupted)
        code, _, err = audiorec(*arguments)
    assert code == 130
    assert "the same command goes on" in err
    assert not (home / "cut").exists()
    assert (home / "cut.run" / "metrics.jsonl").exists()
    code, _, err = audiorec(*arguments)
    assert code == 0, err
    assert not (home / "cut.run").exists()
    names = [p / "model.safetensors" for p in (whole, home / "cut")]
    assert names[0].read_bytes() == names[1].read_bytes()


def test_refuses_features_of_another_extractor(train, audiorec, home):
    model, _, _ = train()
    write_features(
        home / "odd.parquet", ["a", "b"], np.zeros((2, 6), np.float32), extractor_id="f" * 16
    )
    code, _, err = audiorec("metric", "embed", home / "odd.parquet", "-m", model)
    assert code == 2
    assert "extractor ffffffffffffffff" in err
    assert not (home / "embeddings.parquet").exists()


def test_refuses_audio_that_would_be_extracted_otherwise(train, audiorec, home):
    model, _, _ = train()
    write_song(home / "songs" / "new.flac", seed=1)
    code, _, err = audiorec(
        *("metric", "embed", home / "songs", "-m", model, "-o", home / "e.parquet", "-j", "1")
    )
    assert code == 2
    assert "trained on 0123456789abcdef" in err
    assert not (home / "e.parquet.work").exists()


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"-u": "nobody.parquet"}, 2, "no such file"),
        ({"-i": "nothing.csv"}, 2, "nothing.csv"),
        ({"--dimension": "7"}, 2, "embeddings of 6 numbers, the model is to have 7"),
        ({"--valid-share": "0.8", "--test-share": "0.3"}, 2, "leave artists and songs"),
        ({"--input": "mtt_tags"}, 2, "no features mtt_tags"),
    ],
)
def test_refusals_write_nothing(audiorec, home, changes, code, message):
    options = {"-i": "log.csv", "-u": "users.parquet", "--dimension": "6"} | changes
    paths = {"-i", "-u"}
    given = [x for n, v in options.items() for x in (n, home / v if n in paths else v)]
    before = {p.name for p in home.iterdir()}
    found, _, err = audiorec(
        "metric", "train", home / "features.parquet", "-o", home / "m", "--epochs", "0", *given
    )
    assert (found, message in err) == (code, True), err
    assert {p.name for p in home.iterdir()} == before


def test_refuses_users_of_another_space(train, audiorec, home):
    from audiorec.store.embeddings import write_embeddings

    model, _, _ = train()
    users = np.ones((50, 6), np.float32)
    names = [f"u{u:03}" for u in range(50)]
    write_embeddings(home / "odd.parquet", names, users, kind="users", model_id="another")
    code, _, err = audiorec(
        *("metric", "evaluate", model, "-f", home / "features.parquet", "-i", home / "log.csv"),
        *("-u", home / "odd.parquet"),
    )
    assert code == 2
    assert "users of another" in err
