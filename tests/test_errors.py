"""Every error class of audiorec: one tree, drawn; each crosses a process whole."""

import ast
import copy
import importlib
import pickle
from pathlib import Path

import pytest

import audiorec
import audiorec.players.mpd
from audiorec import errors
from audiorec.audio.decode import ChannelMix, NotFiniteError, _ReadAgainError
from audiorec.audio.readers import DecoderError
from audiorec.errors import AudiorecError, Failure, SongError, StoreError, WeightsError
from audiorec.listening.events import RowsError
from audiorec.listening.imports.rows import UnusableRowError
from audiorec.players.mpd import _AckError
from audiorec.runs.timing import OverdueError
from audiorec.store.schema import Kind
from audiorec.store.store import VectorStore
from audiorec.web.apis.messages import NotThereError
from audiorec.web.apis.subsonic import SubsonicError
from audiorec.web.limits import RefusedRequest

ROOT = Path(__file__).parents[1]
SIGNALS = {
    *(DecoderError, NotFiniteError, UnusableRowError, _AckError, _ReadAgainError),
    *(SubsonicError, NotThereError, OverdueError, RefusedRequest),
}
VALUES = {  # of classes that take more than a message
    "UnknownSongError": ("rock/a.mp3", ("rock/b.mp3", "rock/c.mp3"), "vecs.parquet"),
    "SeveralSongsError": ("etude", ("rock/b.mp3", "rock/c.mp3"), 7),
    "UnknownFileError": ("rock/a.mp3", ("rock/b.mp3",)),
    "SongError": ("a.mp3", Failure.DRM, "encrypted by its shop", "read", "PyAV 16"),
    "MissingSongError": ("a.mp3", Failure.UNREADABLE, "no such file", "read", None),
    "MissingExtraError": ("a map", "map", "No module named 'umap'"),
    "RowsError": ("log.csv", 2, 9, ()),
    "ChannelFailedError": ("rules", "ValueError: no"),
    "LostBlocksError": ("lists.parquet", (("users 'a' to 'b'", "killed"),), 4),
    "ContractError": ("mine", ("exclude holds",)),
    "ProtocolError": ("vectors 7", "number 7", "number 6"),
    "RefusedError": ("hello 0", "batch_size is 512 here, 256 there"),
    "DecoderError": ("no samples", "PyAV 16", True, Failure.NO_AUDIO),
    "NotFiniteError": (1.5,),
    "SubsonicError": (70, "no such song"),
    "RefusedRequest": (429, "too many requests", "rate"),
    "UnusableRowError": ("names no song", True),
    "_ReadAgainError": (ChannelMix(0, 0.5),),
}
FORMATS = ROOT / "fixtures" / "formats"


def tree(root):
    """Return a class and all of audiorec's classes below it; tests have some of their own."""
    below = {root}.union(*(tree(child) for child in root.__subclasses__()))
    return {kind for kind in below if kind.__module__.startswith("audiorec")}


CLASSES = sorted(tree(AudiorecError) | SIGNALS, key=lambda kind: kind.__name__)


def made(kind):
    error = kind(*VALUES.get(kind.__name__, ("x.parquet: no such file",)))
    error.add_note("seen by a worker")
    return error


def written_classes():
    """Return the names of the exception classes that stand in the source."""
    for path in sorted([*ROOT.glob("audiorec/**/*.py"), *ROOT.glob("cli/**/*.py")]):
        for node in ast.walk(ast.parse(path.read_text())):
            bases = [ast.unparse(b).rpartition(".")[2] for b in getattr(node, "bases", ())]
            if any(base.endswith(("Error", "Exception", "Exit")) for base in bases):
                yield node.name


def test_the_drawing_shows_every_class_below_its_base():
    above: dict[int, str] = {}
    drawn = {}
    for line in errors.__doc__.splitlines():
        if "── " in line or line.strip().startswith(("AudiorecError", "Exception ")):
            name = line.strip("│├└─ ").split()[0]
            depth = len(line) - len(line.lstrip("│├└─ "))
            above[depth] = name
            drawn[name] = above.get(depth - 4)
    assert drawn.pop("Exception") is None
    assert sorted(drawn) == sorted(written_classes())
    assert sorted(drawn) == [kind.__name__ for kind in CLASSES]
    for kind in CLASSES:
        assert drawn[kind.__name__] in (None, *(base.__name__ for base in kind.__bases__))
        assert kind is AudiorecError or drawn[kind.__name__]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_and_copying(kind):
    error = made(kind)
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert_same(again, error)


def assert_same(again, error):
    assert type(again) is type(error)
    assert again.args == error.args == VALUES.get(type(error).__name__, error.args)
    assert str(again) == str(error) != ""
    assert vars(again) == vars(error)
    assert again.__notes__ == ["seen by a worker"]
    if isinstance(error, OSError):
        assert again.errno == error.errno == type(error).errno


def test_a_missing_file_keeps_its_message():
    for name in ("MissingFileError", "MissingStoreError", "MissingWeightsError"):
        error = getattr(errors, name)("x: no such file; make one")
        assert error.args == ("x: no such file; make one",)
        assert str(error) == "x: no such file; make one"
        assert isinstance(error, FileNotFoundError)
    error = errors.MissingSongError("a.mp3", Failure.UNREADABLE, "no such file", "read")
    assert str(error) == "a.mp3: unreadable: no such file"
    assert isinstance(error, FileNotFoundError)


def the(place):
    """Return the function or class that ``module:name`` stands for."""
    module, _, names = place.partition(":")
    found = importlib.import_module(f"audiorec.{module}")
    for name in names.split("."):
        found = getattr(found, name)
    return found


def entered(manager):
    with manager:
        pass


OPENERS = {
    "vector": audiorec.vector,
    "scores": audiorec.scores,
    "taggram": lambda path: audiorec.taggram(path),
    "extract": lambda path: audiorec.extract([path], out=path.with_name("v.parquet")),
    "find_songs": lambda path: the("extraction.catalogue:find_songs")([path]),
    "glob": lambda path: the("extraction.catalogue:find_songs")([f"{path}*.mp3"]),
    "open_store": audiorec.open_store,
    "classify": audiorec.classify,
    "classify from a store": lambda path: audiorec.classify("fixtures/audio", vectors=path),
    "similar": lambda path: audiorec.similar("a", vectors=path),
    "duplicates": lambda path: audiorec.duplicates(vectors=path),
    "VectorStore": lambda path: the("store.store:VectorStore.open")(path),
    "scores table": lambda path: the("store.schema:open_checked")(path, Kind.SCORES),
    "series": lambda path: the("store.features:open_series")(
        VectorStore.open(FORMATS / "vecs-v1.parquet"), path, Kind.SCORES
    ),
    "FeatureFile": lambda path: the("store.features:FeatureFile.open")(path),
    "EmbeddingTable": lambda path: the("store.embeddings:EmbeddingTable.open")(path),
    "kind_of": lambda path: the("store.inventory:kind_of")(path),
    "inventory": lambda path: the("store.inventory:inventory")(path),
    "verify": lambda path: the("store.verify:verify")(path),
    "aliases": lambda path: the("store.aliases:read_aliases")(path),
    "read_foreign": lambda path: the("store.embeddings:read_foreign")(path, id_column="id"),
    "compact": lambda path: the("store.compact:compact")([path], path.with_name("v.parquet")),
    "read_manifest": lambda path: the("extraction.manifest:read_manifest")(str(path)),
    "Manifest": lambda path: the("extraction.manifest:Manifest.open")(str(path)),
    "shard": lambda path: the("extraction.shards:read_shard")(str(path), 0, 1),
    "parts": lambda path: the("extraction.shards:finished_parts")(str(path)),
    "ids": lambda path: the("extraction.catalogue:parse_naming")(f"csv:{path}"),
    "labels": lambda path: the("labelling.songs:read_labels")(path),
    "head": lambda path: the("tagger.heads:Head.load")(path),
    "backbone": lambda path: the("tagger.weights:read_metadata")(path),
    "log": lambda path: the("listening.interactions:read_interactions")(path),
    "rule": lambda path: the("listening.rule:load_rule")(path),
    "profiles": lambda path: the("listening.profiles:read_profiles")(path),
    "channel": lambda path: the("recall.registry:load_channel")(path),
    "bundle": lambda path: the("learning.bundle:read_bundle")(path, kind="users"),
    "place": lambda path: entered(the("files.storage:opened")(str(path))),
    "fetch": lambda path: the("files.storage:fetch")(
        str(path), path.with_name("copy"), max_bytes=9
    ),
    "song at a place": lambda path: entered(the("files.storage:fetched")(str(path))),
    "list": lambda path: the("files.user_files:read_lines")(str(path), "no list"),
    "table": lambda path: list(
        the("files.user_files:table_rows")(path, "no table", needed=("path",))
    ),
}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("name", OPENERS)
def test_a_missing_file_is_a_file_not_found_error(tmp_path, name, suffix):
    path = tmp_path / f"nowhere{suffix}"
    with pytest.raises(AudiorecError, match="nowhere") as caught:
        OPENERS[name](path)
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, (errors.InputError, SongError, StoreError, WeightsError))


def test_a_shipped_file_that_is_gone_is_a_file_not_found_error(tmp_path, monkeypatch):
    from audiorec.tagger import weights

    monkeypatch.setattr(weights, "data_folder", lambda: tmp_path)
    weights.weights_path.cache_clear()
    with pytest.raises(WeightsError, match="reinstall audiorec") as caught:
        weights.weights_path("msd")
    assert isinstance(caught.value, FileNotFoundError)


def test_what_is_written_keeps_errors_of_a_missing_file(tmp_path):
    from audiorec.files.own_files import write_errors
    from audiorec.store.schema import store_errors

    for wrapper in (write_errors, store_errors):
        with pytest.raises(errors.MissingFileError), wrapper(tmp_path):
            raise errors.MissingFileError("x: no such file")
    assert RowsError.__mro__[1] is errors.DamagedFileError


def test_what_a_library_says_over_several_lines_is_one():
    error = errors.MissingExtraError("a map", "map", "\n\nIMPORTANT:\n  no numpy\n")
    assert str(error).endswith("(IMPORTANT: no numpy)")
