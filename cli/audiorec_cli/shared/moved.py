"""Old commands and options of the panel Recommend, and what replaces them."""

COLD_START = ("cold-start audience", "cold-start songs")
LISTENING = ("listening prepare", "listening graph", "listening correlate")
HISTORIES = ("recall train", "recall candidates", "recall users")
OTHER_LOGS = (
    *("recall evaluate", "recall songs", "recall fuse", "recall tune", "recall export"),
    *("recommend", "listening check"),
)
LOGS = (*HISTORIES, *LISTENING, *OTHER_LOGS, *COLD_START)
# Options of several commands: the old one, what says the same now, and the commands.
SHARED = (
    ("--since", "--days SINCE..UNTIL", LOGS),
    ("--until", "--days SINCE..UNTIL", LOGS),
    ("--utc-offset", "--days SINCE..UNTIL+HH:MM", LOGS),
    ("--filter", "--reading filter=NAME,NAME", (*HISTORIES, "recall evaluate", LISTENING[0])),
    ("--skip-bad-rows", "--reading skip_bad_rows", (*HISTORIES, "recall evaluate", *LISTENING)),
    ("--by", "--reading by=UNIT", (*HISTORIES, "recall evaluate", LISTENING[0])),
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
    "listening simulate": "days signal sensitive:sensitive_share cold-songs cold-users "
    "sessions:sessions_per_day",
}
MOVED = {
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


def moved() -> dict[tuple[str, ...], str]:
    """Return the new command by the words of the old one."""
    found = dict(MOVED)
    for command, names in SETTINGS.items():
        for name in names.split():
            old, _, new = name.partition(":")
            setting = (new or old).replace("-", "_")
            found[f"{command} --{old}"] = f"{command} --set {setting}=VALUE"
    for command in ("browse", "plot user"):
        reads = f"{command} (it reads the whole log)"
        found |= {f"{command} {old}": reads for old in ("--since", "--until", "--utc-offset")}
    for old, new, commands in SHARED:
        found |= {f"{command} {old}": f"{command} {new}" for command in commands}
    return {tuple(old.split()): new for old, new in found.items()}
