"""Old commands and options, and what replaces them."""

# The first words of the old command line, and the new command.
MOVED = {
    "metric train": "recall train user-audio",
    "metric embed": "recall songs",
    "metric evaluate": "recall evaluate MODEL --split artists",
    "metric holdout": "listening prepare LOG --held-out test=0.2 --out FILE",
    "metric": "recall train user-audio",
    "interactions": "listening check",
    "analyze": "listening correlate",
    "simulate": "listening simulate",
    "similar --all": "similar --out FILE",
    "neighbours": "similar --out FILE",
    "path": "playlist A --to B",
    "extract --attributes": "extract (they are written unless --vector-only is given)",
    "extract --shard": "shards MANIFEST I/N",
    "extract --shards": "shards MANIFEST N",
    "runs list": "runs --in PLACE",
    "runs show": "runs RUN",
    "runs diff": "runs RUN RUN, or runs OUTPUT --diff",
    "shards one": "shards MANIFEST I/N",
    "shards all": "shards MANIFEST N",
    "extract --files-from": "extract --from FILE",
    "extract --manifest": "extract --from FILE",
    "extract --errors": "extract (failures stand beside the store: vecs.errors.parquet)",
    "extract --device": "extract --engine torch:cuda",
    "extract --settle": "extract --set settle=SECONDS",
    "extract --every": "extract --set every=SECONDS",
    "store export --ddl": "store export --format duckdb",
    "store export --atlas": "store export --format atlas",
    "store sql": "store export --format duckdb",
    "store map": "store export --format atlas",
    "store compact": "store merge",
    "store info": "info",
    "store verify --features": "store verify --beside features.parquet",
    "store verify --errors": "store verify --beside vecs.errors.parquet",
    "index info": "info",
    "index build": "index",
    "tags --model": "classify SONG --tags 3 (one network; docs/backbones.md adds the other)",
    "tags": "classify SONG --tags 3",
    "plot compare": "plot A B",
    "plot song": "plot SONG",
    "plot library": "plot",
    "plot user": "plot --user USER --interactions LOG",
    "plot report": "plot REPORT.json",
    "backbones list": "backbones",
    "backbones add": "backbones MODEL --spec FILE",
    "backbones remove": "backbones NAME --remove",
    "config show": "config",
    "config trust --revoke": "config --revoke FOLDER",
    "config trust": "config --trust FOLDER",
    "duplicates --scores": "duplicates (it reads scores.parquet beside the store)",
    "duplicates --features": "duplicates (it reads features.parquet beside the store)",
    "similar --why-long": "similar --why --json (all contributions)",
    "similar --mean": "similar (each of several songs gets its share)",
    "playlist --mean": "playlist (each of several songs gets its share)",
    "playlists --seed": "playlists (the same library gives the same lists)",
    "store verify --max-problems": "store verify (it lists the first 1,000)",
    "store export --table": "store export --format duckdb (the table is called songs)",
    "runs --last": "runs (it lists the newest 50)",
    "index --out": "index (similar looks for it beside the store)",
    "plot --k": "plot (reports are drawn for their longest lists)",
    "playlist --artist-gap": "playlist (three songs lie between two of one artist)",
    "retag --save-undo": "retag (the undo file is a new one beside the store)",
    "recall evaluate --plot": "recall evaluate --json > REPORT.json, plot REPORT.json",
    "listening import --strict": "listening import --json (unmatched_songs)",
    "serve --token": "serve --token-file FILE (others on the machine see a command line)",
    "recall songs --allow-failures": "recall songs (3: some songs failed)",
    "listening correlate --embeddings": "listening correlate --vectors embeddings.parquet",
    "heads train": "heads LABELS --task TASK --out FOLDER",
    "heads evaluate": "heads LABELS --evaluate HEAD",
    "recall list": "recall train (without a log, it lists channels, or settings of CHANNEL)",
    "users train": "recall train youtube-dnn --reading likes --interactions LOG --out model",
    "users embed": "recall users model --reading likes --interactions LOG --out users.parquet",
    "users songs": "recall songs model --out songs.parquet",
    "users import": "recall users --import TABLE --out users.parquet",
    "users": "recall",
    "federated users": "recall users model --profiles TABLE --out vectors.parquet",
    "federated keys": "federated align --config TOML (it makes keys where there are none)",
    "federated audit --other-config": "federated audit --config TOML (the partner's)",
    "federated --role": "federated (the role stands in the settings)",
    "cold-start audience --features": "cold-start audience (tastes are written)",
    "cold-start songs --features": "cold-start songs (tastes are written)",
    "recall train --epochs": "recall train CHANNEL --set max_epochs=VALUE",
    "recall train --seed": "recall train CHANNEL --set seed=VALUE",
    "recall train --gamma": "recall train CHANNEL --set gamma=VALUE",
    "recall compare --interests": "recall evaluate CHANNEL --set interests=1 --set interests=4",
    "recall compare": "recall evaluate CHANNEL CHANNEL ...",
    "recall unheard --all-songs": "recall evaluate MODEL --split all-artists",
    "recall unheard": "recall evaluate MODEL --split artists",
    "recall portrait": "recall users --portrait USER, or --portrait all --out FILE",
    "recall near": "recall songs MODEL --near SONG",
    "recall songs --work": "recall songs (extracted songs are always kept in OUT.work)",
    "recall export --earlier": "recall export (the export in --out; with --day, the one before)",
    "recommend --per-interest": "recommend --what mixes",
    "recommend --short-share": "recommend (each entry has its share; recall tune learns weights)",
    "listening holdout": "listening prepare LOG --held-out test=0.2 --out FILE",
    "listening import --any-song": "listening import --keep any",
    "listening import --keep-unmatched": "listening import --keep all",
    "cold-start audience --heard": "cold-start audience --keep-heard",
    "cold-start songs --heard": "cold-start songs --keep-heard",
    "cold-start audience --no-tastes": "cold-start audience --set tastes=false",
    "cold-start songs --no-tastes": "cold-start songs --set tastes=false",
    "cold-start audience --by": "cold-start audience (by embedding with --users, else by vector)",
    "cold-start songs --by": "cold-start songs (by embedding with --users, else by vector)",
}
SEARCHES = ("similar", "playlist", "playlists", "plot")
OF_SONGS = ("extract", "shards")  # commands that open songs
PICTURE = "--size 16x9@200 (inches, dots per inch)"
COLD_START = ("cold-start audience", "cold-start songs")
LISTENING = ("listening prepare", "listening graph", "listening correlate")
HISTORIES = ("recall train", "recall candidates", "recall users")
OTHER_LOGS = (
    *("recall evaluate", "recall songs", "recall fuse", "recall tune", "recall export"),
    *("recommend", "listening check"),
)
LOGS = (*HISTORIES, *LISTENING, *OTHER_LOGS, *COLD_START)
SOUNDS = ("recall train", "recall evaluate", "recall songs", LISTENING[0])
# Options of several commands: the old one, what says the same now, and the commands.
SHARED = (
    ("--features", "--by sound", SEARCHES),
    ("--by features", "--by sound", SEARCHES),
    ("--by embedding", "--by embeddings.parquet", SEARCHES),
    ("--embeddings", "--by embeddings.parquet", SEARCHES),
    ("--include-non-music", "--also non-music", SEARCHES[:3]),
    ("--keep-duplicates", "--also copies", SEARCHES[:3]),
    ("--width", PICTURE, ("plot",)),
    ("--height", PICTURE, ("plot",)),
    ("--dpi", PICTURE, ("plot",)),
    ("--scores", "(it reads scores.parquet beside the store)", ("plot", "store verify")),
    ("--body", "(a constant)", ("serve",)),
    ("--threads", "(a constant)", ("serve",)),
    ("--timeout", "(a constant)", ("classify", "retag")),
    ("--memory-limit", "(a constant)", ("classify", "retag")),
    ("--timeout", "--set timeout=SECONDS", OF_SONGS),
    ("--memory-limit", "--set memory=MIB", OF_SONGS),
    ("--max-duration", "--set max_duration=SECONDS", OF_SONGS),
    ("--hop", "--set hop=SECONDS", OF_SONGS),
    ("--since", "(it reads the whole log)", ("browse", "plot")),
    ("--until", "(it reads the whole log)", ("browse", "plot")),
    ("--utc-offset", "(it reads the whole log)", ("browse", "plot")),
    ("--since", "--days SINCE..UNTIL", LOGS),
    ("--until", "--days SINCE..UNTIL", LOGS),
    ("--utc-offset", "--days SINCE..UNTIL+HH:MM", LOGS),
    ("--filter", "--reading filter=NAME,NAME", (*HISTORIES, "recall evaluate", LISTENING[0])),
    ("--skip-bad-rows", "--reading skip_bad_rows", (*HISTORIES, "recall evaluate", *LISTENING)),
    ("--by", "--reading by=UNIT", (*HISTORIES, "recall evaluate", LISTENING[0])),
    ("--likes", "--reading likes", (*HISTORIES, "recall evaluate")),
    ("--features", "--vectors features.parquet", SOUNDS),
    ("-f", "--vectors features.parquet", SOUNDS),
    ("--songs", "--vectors embeddings.parquet", (*SOUNDS[:2], "recommend")),
    ("--rule", "--reading rule=FILE", (*HISTORIES, LISTENING[2], "listening check", *COLD_START)),
    ("--engine", "--processes N, by torchrun or --runner ray[:ADDRESS]", ("recall train",)),
    (
        "--address",
        "--runner ray:ADDRESS or dask:ADDRESS",
        (
            *("recall candidates", "recall evaluate", "recall fuse", "recall run", "recall train"),
            *("listening prepare", "index", *COLD_START),
        ),
    ),
)
LISTS = "method flatness cold-share replay-share popularity diversity"
CAPS = "max-per-artist:per_artist max-per-album:per_album"
NEW_SONGS = (
    "minimum per-artist per-user per-song quota exposures half-life:half_life_days keep-known "
    "include-non-music tastes"
)
# Options that are settings now: name, or old:new.
SETTINGS = {
    "recall fuse": f"{LISTS} {CAPS} short-share",
    "recall tune": f"{LISTS} {CAPS} tolerance users seed weights by:measure",
    "recall export": "units entry served-days",
    "recall users": "id-column embedding-column normalise model-id",
    "cold-start audience": NEW_SONGS,
    "cold-start songs": NEW_SONGS,
    "listening graph": "column:columns neighbours form minimum",
    "listening correlate": "half-life:half_life_days min-songs draws song-draws seed by:space",
    "listening simulate": "users seed days signal sensitive:sensitive_share cold-songs cold-users "
    "sessions:sessions_per_day",
}


def moved() -> dict[tuple[str, ...], str]:
    """Return the new command by the first words of the old one."""
    result = dict(MOVED)
    for command, names in SETTINGS.items():
        for name in names.split():
            old, _, new = name.partition(":")
            setting = (new or old).replace("-", "_")
            result[f"{command} --{old}"] = f"{command} --set {setting}=VALUE"
    for old, new, commands in SHARED:
        result |= {f"{command} {old}": f"{command} {new}" for command in commands}
    return {tuple(old.split()): new for old, new in result.items()}
