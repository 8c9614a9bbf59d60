"""Single options that several commands share, each defined once.

Related options are grouped in a class with the functions that use them: `ListForm` in `m3u8`,
`Extraction` in `extraction`. Those of questions are declared by the library (`typer_option`).
"""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from audiorec.options import Option

ADVANCED = "Advanced"  # the panel of less common options
more = partial(typer.Option, rich_help_panel=ADVANCED)
KNOWN = "What is known of songs and users"
also_known = partial(typer.Option, rich_help_panel=KNOWN)

# Output, processes and failures.
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
JobsOption = Annotated[int, typer.Option("--jobs", "-j", min=0, help="Processes; 0: all cores.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Random seed.")]
DeviceOption = Annotated[str, more("--device", help="Device of torch: cpu or cuda.")]
RetryFailedOption = Annotated[bool, more("--retry-failed", help="Retry songs that failed before.")]
AllowFailuresOption = Annotated[
    bool, more("--allow-failures", help="Exit 0 even if some songs failed.")
]

OutFileOption = Annotated[Path, typer.Option("--out", "-o", help="The file to write.")]
OutFolderOption = Annotated[
    Path, typer.Option("--out", "-o", metavar="FOLDER", help="The folder to write.")
]

# Listening.
LogArgument = Annotated[Path, typer.Argument(metavar="LOG", help="Parquet, .csv or .csv.gz.")]
LogOption = Annotated[
    Path, typer.Option("--interactions", "-i", metavar="LOG", help="The listening log.")
]

# Songs in folders.
IdFromOption = Annotated[
    str, more(help="Source of song ids: path, stem, tag:NAME (tag:isrc), csv:FILE.")
]
IncludeOption = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="GLOB", help="Only paths that match this glob."),
]
ExcludePathsOption = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="Skip paths that match this glob."),
]


def typer_option(name: str, hint: Any, option: Option) -> Any:
    """Return the annotation of a command's parameter for an option that the library declares."""
    kind = get_args(hint)[0]
    settings: dict[str, Any] = {}
    if get_origin(kind) is Collection:
        kind = list[str] | None
    elif option.least is not None or option.most is not None:
        settings |= {"min": option.least, "max": option.most}
    names = option.names or (f"--{name.replace('_', '-')}",)
    panel = ADVANCED if option.rare else None
    settings |= {"help": option.help, "metavar": option.metavar, "rich_help_panel": panel}
    return Annotated[kind, typer.Option(*names, **settings)]
