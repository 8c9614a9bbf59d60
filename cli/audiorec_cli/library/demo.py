"""``audiorec demo``: the page over free music, which comes with the repository."""

from pathlib import Path
from typing import Annotated

from audiorec.errors import MissingFileError
from audiorec.options import connects
from audiorec_cli.library.start import start

SONGS = Path("fixtures", "demo")


def demo(
    no_open: Annotated[
        bool, connects("--no-open", help="Print the address without opening a browser.")
    ] = False,
) -> None:
    """Open the page over 36 pieces of free music, to look and listen before you use your own.

    They come with the repository, so run it in a clone; nothing is downloaded. Their store is in
    your data folder, apart from those of your music.

    Examples
    --------
    audiorec demo
    audiorec demo --no-open
    audiorec extract fixtures/demo --out demo/vecs.parquet   # a store to ask
    """
    start(demo_folder(), once=True, no_open=no_open)


def demo_folder() -> Path:
    """Return the folder of the songs: in the clone that is the current folder, or that runs."""
    for root in (Path(), Path(__file__).parents[3]):
        if (root / SONGS / "songs.csv").is_file():
            return root / SONGS
    raise MissingFileError(
        f"{SONGS}: is not here; run audiorec demo in a clone of the repository, which has the songs"
        " (the package has none), or for your own music: audiorec start FOLDER"
    )
