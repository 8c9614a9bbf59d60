"""Every stored sample of a format opens with the code of today."""

import json
import re
import shutil
from pathlib import Path

import pytest
from needs import needs

from audiorec.extraction.manifest import Manifest
from audiorec.listening.forget import forget
from audiorec.listening.interactions import read_interactions
from audiorec.listening.profiles import read_profiles
from audiorec.listening.reading import likes, read_prepared
from audiorec.listening.sequences import to_sequences
from audiorec.listening.side import read_side, read_triples
from audiorec.players.push import ListLedger
from audiorec.playlists.library_lists import read_lists
from audiorec.recall.cold_start.tables import summarise_lists
from audiorec.recall.contract.candidates import read_candidates, read_targets
from audiorec.recall.contract.data import Queries
from audiorec.recall.registry import load_channel
from audiorec.recall.serving.exclusions import read_exposures
from audiorec.recall.serving.fuse import read_weights
from audiorec.recall.serving.nightly.current import read_current
from audiorec.runs.record import read_runs
from audiorec.store.aliases import read_aliases
from audiorec.store.embeddings import EmbeddingTable
from audiorec.store.links import LinksFile
from audiorec.store.map_file import read_map
from audiorec.store.schema import Kind, open_checked
from audiorec.store.store import VectorStore
from audiorec.tagger.heads import Head

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "fixtures" / "formats"
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
TORCH = ("song2vec", "eges", "graphsage", "user-audio", "two-tower", "mmoe")  # may need it


def forgets(path):
    """Tables of users that only `listening forget` reads: one user goes, the others stay."""
    import pyarrow.parquet as pq

    user = pq.read_table(path).column("user_id")[0].as_py()
    (found,) = forget(user, [path])
    assert found.removed >= 1


def kept_answer(path):
    """A model proposes what it proposed when it was stored."""
    log = read_interactions(SAMPLES / "models-v1" / "plays.csv")
    plays = to_sequences(log)
    profiles = read_profiles(SAMPLES / "models-v1" / "profiles.csv").for_users(plays.owner_ids)
    found = load_channel(path).recall(
        Queries(plays, profiles=profiles, likes=likes(log, plays.owner_ids)), 3
    )
    answer = json.loads((SAMPLES / "models-v1" / path.name / "answer.json").read_text())
    assert {user: found.of(row) for row, user in enumerate(plays.owner_ids)} == answer


def night(path):
    """What `recall run` left is what the export and the page go on from."""
    from audiorec.recall.serving.export.sources import ExportSources

    sources = ExportSources(interactions=SAMPLES / "models-v1" / "plays.csv").with_run(path)
    assert [one.stem for one in sources.candidates] == ["popular", "rules"]
    assert [load_channel(one).name for one in sources.models] == ["popular", "rules"]
    assert len(read_candidates(path / "fused.parquet").ranked)


def kept_map(path):
    store = VectorStore.open(path / "vecs.parquet")
    assert len(read_map(store, "pca", "sound")[1]) == len(store) - 1  # one has no sound


def message(path):
    decode = needs("audiorec_federated.protocol").decode
    assert decode(path.read_bytes()).number == 5


def alignment(path):
    read_alignment = needs("audiorec_federated.alignment").read_alignment
    assert len(read_alignment(path).user_ids)


def ledger(path):
    found = needs("audiorec_federated.ledger").Ledger.read(path)
    assert [entry.what for entry in found.entries] == ["ids", "vectors", "release"]


def player_lists(path):
    found = ListLedger(path)
    assert found.lists["Tonight"].songs == ("41", "42")
    assert found.lists["Radio"].coming == ("42", "43")
    assert found.heard == {"44": ("0123456789abcdef", "piano/etude.flac")}


def undo(path):
    read_records = needs("audiorec_retag.undo").read_records
    assert [record.path for record in read_records(path)] == ["/music/song.mp3"]


def manifest(path):
    with Manifest.open(str(path)):
        pass


def store_file(kind):
    return lambda path: open_checked(path, kind).read()


OPENERS = {
    "vecs": store_file(Kind.VECTORS),
    "scores": store_file(Kind.SCORES),
    "features": store_file(Kind.FEATURES),
    "errors": store_file(Kind.ERRORS),
    "aliases": read_aliases,
    "copies": lambda path: LinksFile.read(path).links[0],
    "map": kept_map,
    "head": Head.load,
    "manifest": manifest,
    "embeddings": EmbeddingTable.open,
    "users": EmbeddingTable.open,
    "interests": forgets,
    "interactions": read_interactions,
    "side": read_side,
    "triples": read_triples,
    "candidates": read_candidates,
    "targets": read_targets,
    "prepared": read_prepared,
    "unmatched": forgets,
    "rejected": forgets,
    "lists": forgets,
    "exposures": lambda path: read_exposures(path, days=1e5),
    "recall_run": night,
    "recall_current": read_current,
    "export": lambda path: json.loads((path / "manifest.json").read_text())["content_sha256"],
    "weights": read_weights,
    "playlists": lambda path: read_lists(path).names,
    "undo": undo,
    "runs": read_runs,
    "audience": lambda path: summarise_lists(path, 3),
    "aligned": alignment,
    "ledger": ledger,
    "player_lists": player_lists,
    "federated-vectors": message,
    "youtube_dnn": load_channel,
    "models": kept_answer,
}
FORMS = {  # other openers for one form of a sample
    "audience-v1.tastes.parquet": forgets,
}


def samples():
    """Return the samples by path: files and folders, and each model of the channels."""
    for path in sorted(SAMPLES.iterdir()):
        if path.name == "models-v1":
            yield from (one for one in sorted(path.iterdir()) if one.is_dir())
        else:
            yield path


def name_and_version(path):
    """Return what a sample is a sample of, and its version."""
    name = path.parent.name if path.parent != SAMPLES else path.name
    found = re.match(r"([\w-]+?)-v(\d+)", name)
    assert found, f"{path}: a sample is called NAME-vVERSION"
    return found[1], int(found[2])


SAMPLE_PATHS = list(samples())


@pytest.mark.parametrize("path", SAMPLE_PATHS, ids=lambda p: str(p.relative_to(SAMPLES)))
def test_every_sample_opens(path, tmp_path):
    name, _ = name_and_version(path)
    if name == "models" and path.name in TORCH:
        needs("torch")
    if name == "models" and path.name in ("one-way", "two-tower", "mmoe"):
        needs("audiorec_federated")
    copy = tmp_path / path.name
    shutil.copytree(path, copy) if path.is_dir() else shutil.copy(path, copy)
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    opener = FORMS.get(path.name, OPENERS[name])
    opener(copy)
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


def test_the_table_of_formats_has_every_sample_and_version():
    table = PAGE.partition("## Formats\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| .+? \| ([\d, ]+) \| (.+?) \|", table, re.MULTILINE)
    written = {
        name: [int(number) for number in versions.split(", ")]
        for versions, names in rows
        for name in re.findall(r"`([\w-]+)`", names)
    }
    there: dict[str, set[int]] = {}
    for path in SAMPLE_PATHS:
        name, version = name_and_version(path)
        there.setdefault(name, set()).add(version)
    assert written == {name: sorted(versions) for name, versions in there.items()}
    assert set(OPENERS) == set(there)


def test_every_channel_has_a_stored_model():
    from audiorec.recall.registry import CHANNELS

    stored = {path.name for path in SAMPLE_PATHS if path.parent.name == "models-v1"}
    assert set(CHANNELS) - stored == {"external", "youtube-dnn"}  # a table; `youtube_dnn-v1`


def test_no_sample_names_a_place_of_the_machine_that_made_it():
    for path in SAMPLES.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not re.search(rb"/(tmp|work|home|root)/", content), path
