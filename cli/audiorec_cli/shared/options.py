"""Single options that several commands share, each declared once.

Related options are grouped in a class with the functions that use them: `ListForm` in `m3u8`,
`Extraction` in `extraction`. Those of questions are declared by the library.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

from audiorec.options import ADVANCED as ADVANCED
from audiorec.options import COMMON as COMMON
from audiorec.options import argument, chooses, reads, writes

KNOWN = "What is known of songs and users"

# Output, processes and failures.
JsonOption = Annotated[
    bool, chooses("--json", panel=COMMON, common=True, help="Print one JSON document.")
]
QuietOption = Annotated[
    bool, chooses("--quiet", "-q", panel=COMMON, common=True, help="Show no progress.")
]
JobsOption = Annotated[int, chooses("--jobs", "-j", min=0, help="Processes; 0: all cores.")]
SeedOption = Annotated[int, chooses("--seed", min=0, help="Random seed.")]
DeviceOption = Annotated[
    str, chooses("--device", panel=ADVANCED, help="Device of torch: cpu or cuda.")
]
RetryFailedOption = Annotated[
    bool, chooses("--retry-failed", panel=ADVANCED, help="Retry songs that failed before.")
]
AllowFailuresOption = Annotated[
    bool, chooses("--allow-failures", panel=ADVANCED, help="Exit 0 even if some songs failed.")
]

# Files that every command names alike; what they are for, each command says itself.
store_file = partial(reads, "--vectors", "-v", metavar="STORE")
log_file = partial(reads, "--interactions", "-i", log=True)
out_file = partial(writes, "--out", "-o")

OutFileOption = Annotated[Path, out_file(help="The file to write.")]
OutFolderOption = Annotated[Path, out_file(metavar="FOLDER", help="The folder to write.")]

# Listening.
LogArgument = Annotated[Path, argument(log=True, help="Parquet, .csv or .csv.gz.")]
LogOption = Annotated[Path, log_file(help="The listening log.")]

# Songs in folders.
IdFromOption = Annotated[
    str,
    reads(panel=ADVANCED, help="Source of song ids: path, stem, tag:NAME (tag:isrc), csv:FILE."),
]
IncludeOption = Annotated[
    list[str] | None,
    chooses("--include", metavar="GLOB", help="Only paths that match this glob."),
]
ExcludePathsOption = Annotated[
    list[str] | None,
    chooses("--exclude", metavar="GLOB", help="Skip paths that match this glob."),
]
