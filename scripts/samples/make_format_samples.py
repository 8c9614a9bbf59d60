"""Make the stored samples of formats that have none yet; one that is there is never written again.

    PYTHONPATH=tests python scripts/samples/make_format_samples.py [NAME ...]

Samples lie in ``fixtures/formats`` and are opened by the tests of every later version
(``tests/test_formats_kept.py``, docs/compatibility.md). This makes those that commands of
today write over a made-up catalogue of twelve songs: a model of each channel with an answer that
it gave, what ``recall run`` leaves, playlists, undo files, weights of channels, aliases, copies,
embeddings of several interests, what an import sets aside, a record of runs, a head. The others
are older, and were written by hand. Needs the group ``full``; a name, or its beginning, makes that
one alone.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from made_listening import write_catalogue

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "fixtures" / "formats"
SMALL = ("dimension=8",)
CHANNELS = {  # what each learns from, and what keeps it small
    "popular": ("", ()),
    "replay": ("", ()),
    "rules": ("", ()),
    "vs-knn": ("", ()),
    "item-knn": ("", ()),
    "als": ("", ("factors=4",)),
    "ease": ("", ()),
    "recent-likes": ("-v vecs.parquet", ()),
    "nearest-audio": ("-v vecs.parquet", ()),
    "nearest-artist": ("-v vecs.parquet", ()),
    "sasrec": ("--set max_epochs=1", (*SMALL, "longest=8")),
    "mind": ("--set max_epochs=1", SMALL),
    "comirec-sa": ("--set max_epochs=1", SMALL),
    "song2vec": ("--set max_epochs=1 --side side.csv", SMALL),
    "eges": ("--set max_epochs=1 --side side.csv", SMALL),
    "graphsage": ("--set max_epochs=1 --side side.csv", SMALL),
    "user-audio": ("--set max_epochs=1 -v features.parquet", ("hidden=8",)),
    "one-way": ("--profiles profiles.csv", SMALL),
    "two-tower": ("--set max_epochs=1 --profiles profiles.csv", (*SMALL, "hidden=[8]", "width=4")),
    "mmoe": ("--set max_epochs=1 --profiles profiles.csv", (*SMALL, "hidden=[8]", "width=4")),
}
LEFT_OUT = ("metrics.jsonl",)  # of a training, not of the model
ANSWER = "answer.json"
MUSIC = """[recall]
interactions = "plays.csv"
out = "recall_run-v1"
channels = ["popular", "rules"]
k = 5
depth = 5
"""


def audiorec(home: Path, words: str, *more: str) -> None:
    """Run a command in a folder."""
    command = [sys.executable, "-m", "audiorec_cli.main", *words.split(), *more]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        sys.exit(f"audiorec {words}\n{done.stderr}")


def write_world(home: Path) -> None:
    """Write a catalogue that can be heard, a log, profiles and side information."""
    ids, _ = write_catalogue(home, n_songs=12, n_users=10)
    log = (home / "log.csv").read_text()
    (home / "plays.csv").write_text(
        log.replace(",like\n", ",finish\n").replace(",dislike\n", ",skip\n")
    )
    users = [f"u{n:03},{'ab'[n % 2]}" for n in range(10)]
    (home / "profiles.csv").write_text("\n".join(["user_id,country", *users, ""]))
    side = [f"{name},artist {n // 2}" for n, name in enumerate(ids)]
    (home / "side.csv").write_text("\n".join(["song_id,artist", *side, ""]))


def make_channel(name: str) -> Callable[[Path, Path], None]:
    """Return what trains a channel, and keeps an answer that it gives beside it."""

    def make(home: Path, target: Path) -> None:
        words, settings = CHANNELS[name]
        chosen = [word for one in settings for word in ("--set", one)]
        audiorec(home, f"recall train {name} -i plays.csv {words} -q --out model", *chosen)
        shutil.copytree(home / "model", target, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (target / ANSWER).write_text(json.dumps(answer_of(target), indent=1) + "\n")

    return make


def answer_of(model: Path) -> dict[str, list[str]]:
    """Return what a model proposes to the users of the log that lies beside the models."""
    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.profiles import read_profiles
    from audiorec.listening.reading import likes
    from audiorec.listening.sequences import to_sequences
    from audiorec.recall.contract.data import Queries
    from audiorec.recall.registry import load_channel

    log = read_interactions(model.parent / "plays.csv")
    plays = to_sequences(log)
    profiles = read_profiles(model.parent / "profiles.csv").for_users(plays.owner_ids)
    queries = Queries(plays, profiles=profiles, likes=likes(log, plays.owner_ids))
    found = load_channel(model).recall(queries, 3)
    return {user: found.of(row) for row, user in enumerate(plays.owner_ids)}


def make_listening(home: Path, target: Path) -> None:
    """Keep what the models are asked with."""
    shutil.copy(home / target.name, target)


def make_recall_run(home: Path, target: Path) -> None:
    """Run one night."""
    (home / "recall.toml").write_text(MUSIC)
    audiorec(home, "recall run --config recall.toml -q")
    shutil.copytree(home / "recall_run-v1", target)


def make_interests(home: Path, target: Path) -> None:
    """Write users as several embeddings each."""
    audiorec(
        home, "recall train comirec-sa -i plays.csv --set max_epochs=1 -q --out m --set dimension=8"
    )
    audiorec(home, "recall users m -i plays.csv --explain --out users.parquet")
    shutil.copy(home / "users.parquet", target)


def make_weights(home: Path, target: Path) -> None:
    """Write weights that were learnt."""
    for name in ("popular", "rules"):
        audiorec(home, f"recall train {name} -i plays.csv --out {name}")
        audiorec(
            home, f"recall candidates {name} -i plays.csv --k 5 --keep-heard --out {name}.parquet"
        )
    rows = [line.split(",")[:2] for line in (home / "plays.csv").read_text().splitlines()[1:]]
    wanted = [",".join(row) for row in {row[0]: row for row in rows}.values()]
    (home / "wanted.csv").write_text("\n".join(["user_id,song_id", *wanted, ""]))
    files = "--targets wanted.csv --out weights.json"
    audiorec(home, f"recall tune popular.parquet rules.parquet {files}")
    shutil.copy(home / "weights.json", target)


def make_playlists(home: Path, target: Path) -> None:
    """Divide the catalogue into playlists."""
    audiorec(home, "playlists --size 4 --also non-music --out lists")
    shutil.copytree(home / "lists", target)


def make_undo(home: Path, target: Path) -> None:
    """Retag a clip, and keep the way back."""
    from dataclasses import replace

    from audiorec_retag.undo import Record

    (home / "music").mkdir()
    clip = ROOT / "fixtures" / "audio" / "jazz-vibraphone.mp3"
    shutil.copy(clip, home / "music" / "song.mp3")
    audiorec(home, "extract music --out own.parquet -q -j1")
    audiorec(home, "retag music -v own.parquet --write -q")
    (undo,) = home.glob("retag-*.undo.jsonl")
    text = undo.read_text()
    records = [Record.from_line(line.encode()) for line in text.splitlines()]
    lines = [replace(record, path="/music/song.mp3").to_line() for record in records]
    target.write_bytes(b"".join(lines))


def make_aliases(home: Path, target: Path) -> None:
    """Write all names of the songs."""
    audiorec(home, "store aliases vecs.parquet -o aliases.parquet")
    shutil.copy(home / "aliases.parquet", target)


def make_copies(home: Path, target: Path) -> None:
    """Extract a song in two encodings, and write that they are one recording."""
    (home / "pairs").mkdir()
    for ending in ("flac", "mp3"):
        audio, rate = soundfile.read(ROOT / "fixtures" / "audio" / "jazz-vibraphone.mp3")
        soundfile.write(home / "pairs" / f"song.{ending}", audio, rate)
    audiorec(home, "extract pairs --out pairs.parquet -q -j1")
    shutil.copy(home / "pairs.copies.parquet", target)


def make_unmatched(home: Path, target: Path) -> None:
    """Import a history whose songs the store does not have, and rows that are none."""
    rows = ["artist,album,track,uts", "Ayla,One,Two,1709294400", "Ayla,One,,1709294400", ""]
    (home / "scrobbles.csv").write_text("\n".join(rows))
    audiorec(home, "listening import lastfm scrobbles.csv -v vecs.parquet --user u1 -o log.parquet")
    shutil.copy(home / f"log.{target.name.partition('-')[0]}.parquet", target)


def make_exposures(home: Path, target: Path) -> None:
    """Write what an app showed of one night."""
    (home / "recall.toml").write_text(MUSIC)
    audiorec(home, "recall run --config recall.toml -q")
    night = home / "recall_run-v1"
    record = json.loads((night / "run.json").read_text())
    lists = pq.read_table(night / "fused.parquet", columns=["user_id", "song_id"])
    for name, value in (("shown_at", record["shown_at"]), ("run_id", record["run_id"])):
        lists = lists.append_column(name, pa.repeat(pa.scalar(value), len(lists)))
    pq.write_table(lists, target)


def make_runs(_home: Path, target: Path) -> None:
    """Write a record of three runs, one of which failed."""
    from made_runs import made_run, two_nights

    from audiorec.runs.record import write_run

    two_nights(target, output="cands.parquet")
    write_run(str(target), made_run(run_id="c0ffee000000", exit_code=4, error="plays.csv: damaged"))


def make_head(_home: Path, target: Path) -> None:
    """Write a head of two classes that has learnt nothing."""
    import numpy as np

    from audiorec.tagger.heads import Head
    from audiorec.tagger.weights import backbone_weights

    rng = np.random.default_rng(0)
    head = Head(
        task="mood",
        classes=("calm", "wild"),
        inputs=("msd.tags",),
        backbones={"msd": backbone_weights("msd").sha256},
        mean=np.zeros(50, np.float32),
        scale=np.ones(50, np.float32),
        layers=((rng.normal(size=(50, 2)).astype(np.float32), np.zeros(2, np.float32)),),
        calibration_scale=np.ones(2, np.float32),
        calibration_bias=np.zeros(2, np.float32),
    )
    head.save(target)


def make_ledger(_home: Path, target: Path) -> None:
    """Write a ledger with one entry of each kind."""
    from audiorec_federated.ledger import Ledger, LedgerEntry

    about: dict[str, Any] = {"at": "2026-01-01T00:00:00+00:00", "peer": "a" * 64, "count": 12}
    kinds: tuple[tuple[Literal["release", "vectors", "ids"], float], ...]
    kinds = (("ids", 0.0), ("vectors", 0.0), ("release", 2.0))
    entries = tuple(LedgerEntry(what=what, noise=noise, **about) for what, noise in kinds)
    Ledger(target, entries).write()


def make_player_lists(_home: Path, target: Path) -> None:
    """Write a ledger of two lists on a server: one as it was made, one that is being changed."""
    from audiorec.players.push import ListLedger, OwnList

    ledger = ListLedger(target)
    ledger.keep("Tonight", OwnList(id="7", songs=("41", "42"), before=()))
    ledger.keep("Radio", OwnList(id="8", songs=("41",), coming=("42", "43"), before=("41",)))
    ledger.keep_heard({"44": ("0123456789abcdef", "piano/etude.flac")})


def make_recall_current(_home: Path, target: Path) -> None:
    """Name the day that is served, one before it and one that was taken back."""
    from datetime import date

    from audiorec.recall.serving.nightly.current import Current, write_current

    days = [date(2026, 1, n) for n in (1, 2, 3)]
    target.mkdir()
    write_current(target, Current(day=days[1], before=(days[0],), withdrawn=(days[2],)))


def make_lists(_home: Path, target: Path) -> None:
    """Rank three playlists for two users."""
    from audiorec.listening.sequences import Sequences
    from audiorec.recall.serving.playlists import ListRanking, write_lists

    songs = ["rock/live.mp3", "tiny.wav", "piano/etude.flac"]
    lists = Sequences.from_lists([songs, songs[:1], songs[2:]], ["one", "two", "three"])
    plays = Sequences.from_lists([songs[1:2], songs[:1]], ["ana", "ben"])
    ranking = ListRanking(lists, ["ben", "", ""])
    write_lists(target, SAMPLES / "candidates-v1.parquet", ranking, plays)


def make_map(_home: Path, target: Path) -> None:
    """Lay the songs of the sample of a store out on a map."""
    from audiorec.library.library import open_store
    from audiorec.web.song_columns import SongColumns

    target.mkdir()
    shutil.copy(SAMPLES / "vecs-v1-sound.parquet", target / "vecs.parquet")
    _ = SongColumns(open_store(target / "vecs.parquet"), keeps_map=True).layout


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    **{f"models-v1/{name}": make_listening for name in ("plays.csv", "profiles.csv")},
    **{f"models-v1/{name}": make_channel(name) for name in CHANNELS},
    "recall_run-v1": make_recall_run,
    "recall_current-v1": make_recall_current,
    "lists-v1.parquet": make_lists,
    "interests-v1.parquet": make_interests,
    "weights-v1.json": make_weights,
    "playlists-v1": make_playlists,
    "undo-v1.jsonl": make_undo,
    "aliases-v1.parquet": make_aliases,
    "copies-v1.parquet": make_copies,
    "unmatched-v1.parquet": make_unmatched,
    "rejected-v1.parquet": make_unmatched,
    "exposures-v1.parquet": make_exposures,
    "runs-v1.json": make_runs,
    "head-v2.safetensors": make_head,
    "ledger-v1.json": make_ledger,
    "player_lists-v1.json": make_player_lists,
    "map-v1": make_map,
}


def main(wanted: list[str]) -> None:
    """Make what is not there."""
    for name, make in MAKERS.items():
        target = SAMPLES / name
        if target.exists() or (wanted and not any(name.startswith(w) for w in wanted)):
            continue
        target.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            write_world(Path(folder))
            make(Path(folder), target)
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
