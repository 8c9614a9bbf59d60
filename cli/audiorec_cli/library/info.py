"""``audiorec info``: describe a store and the files beside it, a song of it, or another thing."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

from audiorec.errors import InputError, StoreError, UnknownSongError
from audiorec.options import argument
from audiorec.store.schema import GENRE_TAG
from audiorec_cli.shared.console import (
    cell,
    counted,
    duration,
    file_size,
    out_folded,
    print_json,
    say,
)
from audiorec_cli.shared.inputs import VectorsOption, has_usual, open_vectors
from audiorec_cli.shared.options import JsonOption
from audiorec_cli.shared.things import Sort, Thing, recognise

if TYPE_CHECKING:
    from audiorec.library.library import Library

DIFFERING = "genre_tags_that_differ"
# What is described in lines of its own: most of it is the inventory of a store.
STORED = (
    *("bytes", "vector_bytes", "row_groups", "columns_of_your_own", "songs_with"),
    *("source_rates", "source_channels", "duration_s", "extracted_at", "beside", "unfinished_run"),
    DIFFERING,
)
MEASURED = ("bpm", "bpm_other", "bpm_confidence", "key", "scale", "key_confidence")
MOST_DIFFERING = 20  # songs named whose genre tag is not what is heard


def info(
    song: Annotated[
        str | None,
        argument(
            metavar="THING",
            help="A song: its id, a unique part of one, or its file; or the path of a store, a "
            "model, a nightly run, a log, another file of audiorec; none: the store.",
        ),
    ] = None,
    vectors: VectorsOption = None,
    json: JsonOption = False,
) -> None:
    """Describe a song, or a store: songs, statuses, versions, the files beside it.

    Of a model, a nightly run, a log or another file that audiorec makes it tells what it is, and
    the commands that read it. For a song that failed, the reason is shown.

    Examples
    --------
    audiorec info
    audiorec info jazz-vibraphone.mp3
    audiorec info vecs.parquet --json
    """
    thing = None if song is None else recognise(Path(song))
    if thing is not None and thing.sort == Sort.STORE:
        vectors, song = thing.path, None
    elif thing is not None and song is not None and not _may_be_song(thing, song, vectors):
        _tell(thing, json=json)
        return
    store = open_vectors(vectors)
    document = _describe(store) if song is None else _describe_named(store, song)
    if json:
        print_json(document)
        return
    for name, value in (document if song is None else _in_words(document)).items():
        if name in STORED and song is None:
            for line in info_lines(name, value):
                out_folded(line)
        elif name != "schema" and value not in (None, "", {}, []):
            label, shown = SHOWN[name] if name in SHOWN else (name.replace("_", " "), _text)
            shown = _small if name.startswith("tag_") else shown
            out_folded(f"{label}: {shown(value)}")


def _may_be_song(thing: Thing, song: str, vectors: Path | None) -> bool:
    """Whether a name is that of a song: of its file, or of a folder that is also an id."""
    if thing.sort == Sort.SONG:
        return True
    if thing.sort != Sort.FOLDER or not (vectors or has_usual()):
        return False
    store = open_vectors(vectors)
    try:
        store.resolve(song)
    except UnknownSongError:
        return False
    return True


def _tell(thing: Thing, *, json: bool) -> None:
    """Print what a thing is, and the commands that read it."""
    commands = [one for one in thing.commands if not one.startswith("audiorec info ")]
    facts = {"thing": str(thing.path), "what": thing.words, **thing.facts}
    if json:
        document = {"schema": "audiorec/thing/1", "sort": str(thing.sort), **facts}
        print_json({**document, "commands": commands})
        return
    for name, value in facts.items():
        out_folded(f"{name}: {_text(value)}")
    for one in commands:
        out_folded(f"read it: {one}")


def _in_words(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a song's description for a person: one tempo and one key, as the page says them."""
    said = {"bpm": ("tempo", _tempo), "key": ("key", _key)}
    result = {}
    for name, value in document.items():
        if name in said and value:
            label, words = said[name]
            result[label] = words(document)
        elif name not in MEASURED:
            result[name] = value
    return result


def _tempo(song: Mapping[str, Any]) -> str:
    from audiorec.search.filters import HAS_BEAT

    sure, other = song.get("bpm_confidence") or 0.0, song.get("bpm_other")
    either = f"{song['bpm']:.0f}" + (f" or {other:.0f}" if other else "")
    return f"{either} BPM ({sure:.2f})" if sure >= HAS_BEAT else "no beat"


def _key(song: Mapping[str, Any]) -> str:
    from audiorec.search.filters import SURE_KEY

    sure = song.get("key_confidence") or 0.0
    return f"{song['key']} {song.get('scale')}{'' if sure >= SURE_KEY else '?'} ({sure:.2f})"


def _describe_named(store: "Library", song: str) -> dict[str, Any]:
    """Describe a song of the store, or the failure of a file; by id, part of one, or path."""
    uri = _uri(song)
    if song not in store and (result := store.find_uri(uri)) is not None:
        if Path(song).exists() and _changed(store, result, song):
            say(
                f"note: {song} has changed since its extraction; update it: audiorec extract FOLDER"
            )
        return _describe_song(store, result)
    failure = _failure(store, song, uri)
    if failure is not None and song not in store:
        return {"schema": "audiorec/failure/1", **failure}
    if Path(song).is_file() and song not in store:
        hint = f"not a song of {store.path}; add it: audiorec extract {quote(song)}"
        raise InputError(f"{song}: {hint}")
    return _describe_song(store, store.resolve(song))


def _uri(song: str) -> str:
    from audiorec.extraction.catalogue import uri_of

    return uri_of(song)


def _changed(store: "Library", song_id: str, path: str) -> bool:
    row, info = store.row(song_id), Path(path).stat()
    return (row["size"], row["mtime_ns"]) != (info.st_size, info.st_mtime_ns)


def _failure(store: "Library", song: str, uri: str) -> dict[str, Any] | None:
    """Return the failure of this path or id, or of the only id that ends in ``/song``."""
    rows = _failures(store)
    exact = [row for row in rows if uri == row["uri"] or song == row["song_id"]]
    ends = [row for row in rows if row["song_id"].endswith(f"/{song}")]
    result = exact or ends
    return result[0] if len(result) == 1 else None


def _failures(store: "Library") -> list[dict[str, Any]]:
    """Return the store's failures; if their file is damaged, say so and return none."""
    from audiorec.store.inventory import read_failures

    try:
        failures = read_failures(store.path)
    except StoreError as error:
        say(f"note: {error}")
        return []
    return [] if failures is None else failures.to_pylist()


def _describe(store: "Library") -> dict[str, Any]:
    from audiorec.store.inventory import inventory

    metadata, failed = store.metadata, Counter(row["status"] for row in _failures(store))
    durations = store.column("duration_s").to_pylist()
    return {
        "schema": "audiorec/info/1",
        "vectors": str(store.path),
        "songs": len(store),
        "statuses": dict(Counter(store.column("status").to_pylist()).most_common()),
        "failed": dict(failed.most_common()),
        "codecs": dict(Counter(store.column("codec").to_pylist()).most_common()),
        "audio": duration(sum(durations)),
        "loudness": _loudness(store),
        "dimension": metadata.dimension,
        "classes": list(metadata.classes),
        "statistics": list(metadata.statistics),
        "extractor_id": metadata.extractor_id,
        "created_by": metadata.created_by,
        "format_version": metadata.format_version,
        "weights": [f"{w['name']} {w['sha256'][:12]} ({w['licence']})" for w in metadata.weights],
        "packages": dict(metadata.packages),
        **({"attributes": dict(metadata.attributes)} if metadata.attributes else {}),
        **{name: value for name, value in inventory(store.path).items() if name in STORED},
        "copies": _copies(store),
        **_genre_tags(store),
    }


def _copies(store: "Library") -> dict[str, int]:
    """Count the songs that are a further copy of a recording, and those not compared yet."""
    recordings = store.recordings
    codes = recordings.codes[recordings.codes >= 0]
    further = len(codes) - len(set(codes.tolist()))
    return {"further": further, "not_compared": recordings.missing}


def _genre_tags(store: "Library") -> dict[str, Any]:
    """Count the genre tags, and name songs whose tag is not what is heard; empty without tags."""
    if GENRE_TAG not in store.metadata.tags:
        return {}
    result = store.classify()
    tagged = [one.tagged for one in result.values() if one.tagged]
    differing = [song_id for song_id, one in result.items() if one.tag_agrees is False]
    return {
        "genre_tags": {
            "songs": len(tagged),
            "not_understood": sum(not tag.is_known for tag in tagged),
            "agree": sum(one.tag_agrees is True for one in result.values()),
            "differ": len(differing),
        },
        DIFFERING: [
            f"{song_id}: tagged {result[song_id].tag_facts()['text']}, "
            f"sounds {next(iter(result[song_id].likely))}"
            for song_id in differing[:MOST_DIFFERING]
        ],
    }


def _loudness(store: "Library") -> dict[str, Any] | None:
    """Return the songs' loudness in LUFS; None if none has one."""
    result = sorted(x for x in store.column("loudness_lufs").to_pylist() if x is not None)
    if not result:
        return None
    least, median, most = (round(result[i], 1) for i in (0, len(result) // 2, -1))
    return {
        "median_lufs": median,
        "least": least,
        "most": most,
        "without": len(store) - len(result),
    }


def _describe_song(store: "Library", song_id: str) -> dict[str, Any]:
    """Return the song's columns, and its mean scores by head and class."""
    metadata = store.metadata
    by_class = store.vector(song_id).reshape(len(metadata.classes), -1)
    means = by_class[:, metadata.statistics.index("mean")]
    mean_scores: dict[str, dict[str, float]] = {}
    for name, value in zip(metadata.classes, means, strict=True):
        head, _, label = name.partition("/")
        mean_scores.setdefault(head, {})[label] = round(float(value), 4)
    ordered = {h: dict(sorted(s.items(), key=lambda i: -i[1])) for h, s in mean_scores.items()}
    reading = store.classify(song_id)
    facts = {
        "remark": reading.remark,
        "genre": reading.genre_facts(),
        GENRE_TAG: reading.tag_facts() or None,
    }
    document = {"schema": "audiorec/song/1", **store.row(song_id), **facts}
    document |= _part(store, song_id)
    copies = store.copies_of(store.row_number(song_id))
    return {**document, "mean_scores": ordered, "copies": copies}


def _part(store: "Library", song_id: str) -> dict[str, Any]:
    """Return where a song is most itself, of its scores beside the store; empty without them."""
    from audiorec.library.readings import most_itself, scores_beside

    part = most_itself(store, song_id, scores_beside(store)[0])
    return {} if part is None else {"most_itself": part}


def _tag(facts: Mapping[str, Any]) -> str:
    """Format the file's own genre, and whether it is what is heard."""
    says = {True: ", as it sounds", False: ", which is not how it sounds"}
    return f"{cell(facts['text'])}{says.get(facts['agrees'], '')}"


def _genre(facts: Mapping[str, Any]) -> str:
    """Format the genre: in words, then how likely the first ones are."""
    return f"{facts['words']} ({_text(facts['likely'])})"


def _span(part: Mapping[str, float]) -> str:
    return f"{duration(part['start_s'])} to {duration(part['end_s'])}"


def _moment(ns: int) -> str:
    """Format a file's time for display; as the bare number if it is out of range."""
    try:
        moment = datetime.fromtimestamp(ns / 1e9, UTC).astimezone()
    except (OverflowError, OSError, ValueError):
        return str(ns)
    return moment.isoformat(" ", "seconds")


def _text(value: object) -> str:
    """Format nested values on one line."""
    if isinstance(value, dict):
        return ", ".join(
            f"{k} [{_text(v)}]" if isinstance(v, dict) else f"{k} {_short(v)}"
            for k, v in value.items()
        )
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    return _short(value)


def _short(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else cell(value)


def _small(value: float) -> str:
    return f"{value:.3f}"


# Song columns that are displayed under another name or format.
SHOWN: dict[str, tuple[str, Callable[[Any], str]]] = {
    "size": ("size", file_size),
    "mtime_ns": ("changed", _moment),
    "duration_s": ("duration", duration),
    "claimed_s": ("duration by its header", duration),
    "loudness_lufs": ("loudness", "{:.1f} LUFS".format),
    "genre": ("genre", _genre),
    GENRE_TAG: ("genre tag", _tag),
    "most_itself": ("most itself from", _span),
}


def info_lines(name: str, value: Any) -> list[str]:
    """Describe one property of a store in lines of text."""
    if name == "beside":
        return [
            f"beside: {f['kind']} {f['path']}: "
            + (
                f["problem"]
                if "problem" in f
                else f"{counted(f['rows'], 'row')}, {file_size(f['bytes'])}"
            )
            for f in value
        ]
    if name == DIFFERING:
        return [f"genre tag differs: {cell(song)}" for song in value]
    if name == "weights":
        return [f"weights: {w['name']} {w['sha256']} ({w['licence']})" for w in value]
    if name == "duration_s":
        lengths = [duration(value[k]) for k in ("total", "least", "most")]
        return ["duration: {} (from {} to {} a song)".format(*lengths)]
    if name in ("bytes", "vector_bytes"):
        return [f"{'size' if name == 'bytes' else 'of which vectors'}: {file_size(value)}"]
    if name == "unfinished_run":
        return ["unfinished run: yes; the same audiorec extract resumes it"] if value else []
    if isinstance(value, Mapping):
        text = ", ".join(f"{k} {v}" for k, v in value.items() if not isinstance(v, Mapping))
        nested = {k: v for k, v in value.items() if isinstance(v, Mapping)}
        lines = [line for k, v in nested.items() for line in info_lines(f"{name} {k}", v)]
        return ([f"{name.replace('_', ' ')}: {text}"] if text else []) + lines
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "none"
    return [f"{name.replace('_', ' ')}: {value}"]
