"""`audiorec.library.vectorizer`: songs as a scikit-learn transformer, by its own checks."""

import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from made_songs import write_song
from needs import needs

import audiorec
from audiorec.errors import InputError, MissingExtraError, ShapeError, SongError
from audiorec.library import vectorizer
from audiorec.library.vectorizer import AudioVectorizer

NO_PATHS = "transform opens files, and this check hands it a matrix of random numbers"
ONE_COLUMN = "this check hands out several columns; paths stand in one"
# Checks of scikit-learn that cannot apply. All others have to pass, and these have to fail.
NOT_APPLICABLE = {
    **dict.fromkeys(
        (
            "check_fit_score_takes_y",
            "check_estimators_dtypes",
            "check_pipeline_consistency",
            "check_estimators_pickle",
            "check_transformers_unfitted_stateless",
            "check_fit_idempotent",
        ),
        NO_PATHS,
    ),
    **dict.fromkeys(
        (
            "check_dont_overwrite_parameters",
            "check_estimator_sparse_array",
            "check_f_contiguous_array_estimator",
            "check_transformer_general",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_fit2d_1sample",
            "check_fit2d_1feature",
            "check_dict_unchanged",
        ),
        ONE_COLUMN,
    ),
}


@pytest.fixture
def songs(tmp_path):
    return [str(write_song(tmp_path / f"{i}.flac", seed=i)) for i in range(2)]


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.mp3"
    path.write_bytes(b"not audio")
    return str(path)


def rows_as_paths(x):
    if hasattr(x, "toarray"):
        raise InputError("sparse")
    values = np.asarray(x, np.float64)
    if values.ndim != 2 or not len(values):
        raise ShapeError(f"two axes expected, got shape {values.shape}")
    return [row.tobytes() for row in values]


class OfNumbers(AudioVectorizer):
    """Rows of numbers stand for files, whose vectors follow from them."""

    def _songs(self, paths):
        for path in paths:
            first = np.frombuffer(path, np.float64)[0]
            yield SimpleNamespace(vector=np.full(84, first, np.float32))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = False
        tags.input_tags.one_d_array = False
        return tags


def make(**options):
    needs("sklearn")
    return AudioVectorizer(**options)


def statuses(results):
    return {r["check_name"]: r["status"] for r in results}


def test_it_passes_the_checks_of_scikit_learn_that_apply():
    checks = needs("sklearn.utils.estimator_checks")
    results = checks.check_estimator(
        make(), expected_failed_checks=NOT_APPLICABLE, on_skip=None, on_fail="raise"
    )
    found = statuses(results)
    assert {name for name, status in found.items() if status == "xfail"} == set(NOT_APPLICABLE)
    assert sum(status == "passed" for status in found.values()) >= 15


def test_with_numbers_in_place_of_paths_it_passes_nearly_all(monkeypatch):
    """Every row stands for a file whose vector follows from it: the contract without the audio."""
    checks = needs("sklearn.utils.estimator_checks")

    monkeypatch.setattr(vectorizer, "_paths", rows_as_paths)
    needs("sklearn")
    found = statuses(checks.check_estimator(OfNumbers(), on_skip=None, on_fail=None))
    assert {name for name, status in found.items() if status == "failed"} == set()
    assert sum(status == "passed" for status in found.values()) >= 30


def test_vectors_are_those_of_audiorec(songs):
    vectors = make(jobs=2).fit_transform(songs)
    assert (vectors.shape, vectors.dtype) == ((2, 84), np.float32)
    for row, path in zip(vectors, songs, strict=True):
        np.testing.assert_array_equal(row, audiorec.vector(path))


def test_means_and_their_names(songs):
    whole = make()
    vectors, means = whole.transform(songs), make(outputs="mean").transform(songs)
    np.testing.assert_array_equal(means, vectors.reshape(2, 14, 6)[:, :, 2])
    names = whole.get_feature_names_out()
    assert (names[0], names[-1]) == ("version_vocal_max", "genre_rock_skewness")
    assert make(outputs="mean").get_feature_names_out().tolist() == names[2::6].tolist()


def test_features_are_the_means_of_the_last_layers(songs, tmp_path):
    one = make(outputs="features", jobs=1)
    found = one.transform(songs[:1])
    audiorec.extract(songs[0], out=tmp_path / "v.parquet", features=tmp_path / "f.parquet", jobs=1)
    from audiorec.store.features import FeatureFile

    stored = FeatureFile.open_last_layers(tmp_path / "f.parquet").means()
    np.testing.assert_allclose(found, stored, atol=1e-6)
    names = one.get_feature_names_out()
    assert (found.shape, names[0], names[-1]) == (
        (1, 200),
        "msd_penultimate_0",
        "msd_penultimate_199",
    )


def test_a_broken_file_is_named(songs, broken):
    with pytest.raises(SongError, match=r"broken\.mp3: not_audio"):
        make().transform([*songs, broken])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make().transform(["nowhere.mp3"])


def test_or_becomes_a_row_of_nan(songs, broken):
    with pytest.warns(UserWarning, match=r"became rows of NaN: .*broken\.mp3: not_audio"):
        vectors = make(on_error="nan").transform([broken, songs[0]])
    assert np.isnan(vectors[0]).all()
    assert not np.isnan(vectors[1]).any()


def test_forms_of_paths(songs, tmp_path):
    from pathlib import Path

    one = make(outputs="mean")
    expected = one.transform(songs)
    for form in (tuple(map(Path, songs)), np.array(songs), np.array(songs)[:, None]):
        np.testing.assert_array_equal(one.transform(form), expected)
    assert one.transform([]).shape == (0, 14)


def test_refusals(songs):
    with pytest.raises(InputError, match=r"paths of audio files, got 1\.5"):
        make().transform([1.5])
    with pytest.raises(ShapeError, match=r"\(n, 1\), got \(1, 2\)"):
        make().transform([songs])
    with pytest.raises(ShapeError, match=r"got \(\)"):
        make().transform(songs[0])
    for name, value in (("outputs", "all"), ("on_error", "ignore"), ("jobs", -1)):
        with pytest.raises(InputError, match=f"{name} must be"):
            make(**{name: value}).fit(songs)


def test_in_a_pipeline_and_beside_other_columns(songs):
    pandas = needs("pandas")
    needs("sklearn")
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(make(outputs="mean"), StandardScaler(), LogisticRegression())
    assert pipeline.fit(songs, [0, 1]).predict(songs).tolist() == [0, 1]

    table = pandas.DataFrame({"path": songs, "year": [1990, 2020]}, index=["x", "y"])
    both = ColumnTransformer(
        [("audio", make(outputs="mean"), "path"), ("year", "passthrough", ["year"])]
    ).set_output(transform="pandas")
    frame = both.fit_transform(table)
    assert frame.index.tolist() == ["x", "y"]
    assert next(iter(frame.columns)) == "audio__version_vocal_mean"
    assert list(frame.columns)[-1] == "year__year"


def test_clones_and_copies(songs):
    needs("sklearn")
    from sklearn.base import clone

    one = make(outputs="mean", jobs=1, on_error="nan")
    assert clone(one).get_params() == {"outputs": "mean", "jobs": 1, "on_error": "nan"}
    again = pickle.loads(pickle.dumps(one.fit(songs)))  # noqa: S301
    np.testing.assert_array_equal(again.transform(songs[:1]), one.transform(songs[:1]))
    assert repr(one.set_params(jobs=2)) == "AudioVectorizer(jobs=2, on_error='nan', outputs='mean')"


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(vectorizer, "_absent", ImportError("No module named 'sklearn'"))
    with pytest.raises(MissingExtraError, match=r'needs the extra "sklearn": pip install'):
        AudioVectorizer()


def test_the_class_can_be_named_without_scikit_learn(monkeypatch):
    import importlib

    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "audiorec.library.vectorizer")
    again = importlib.import_module("audiorec.library.vectorizer")
    assert again.AudioVectorizer.__doc__
    with pytest.raises(MissingExtraError, match="sklearn"):
        again.AudioVectorizer()
