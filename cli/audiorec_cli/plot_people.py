"""``audiorec plot user`` and ``plot report``: draw a user's listening, and channel reports."""

from pathlib import Path
from typing import Annotated

import typer

from audiorec.errors import DamagedFileError, InputError, MissingFileError
from audiorec_cli.shared.console import print_json
from audiorec_cli.shared.inputs import InputKind, check
from audiorec_cli.shared.options import JsonOption
from audiorec_cli.shared.pictures import PictureOptions
from audiorec_cli.shared.stores import VectorsOption, open_vectors

MAX_REPORT = 64 << 20  # bytes


def user(
    user: Annotated[str, typer.Argument(metavar="USER", help="A user id of the log.")],
    interactions: Annotated[
        Path, typer.Option("--interactions", "-i", metavar="PLAYS", help="The listening log.")
    ],
    *,
    picture: PictureOptions,
    vectors: VectorsOption = None,
    json: JsonOption = False,
) -> None:
    """Draw a user's plays on the map of the library, and shares over long and short horizons.

    Examples
    --------
    audiorec plot user u1 -i plays.csv --out user.png
    audiorec plot user u1 -i plays.parquet --vectors vecs.parquet --out user.html
    audiorec plot user u2 -i plays.csv --out user.svg --json
    """
    import numpy as np

    from audiorec.listening.interactions import read_interactions
    from audiorec.listening.sequences import to_sequences
    from audiorec.listening.side import side_of_store
    from audiorec.plots.library_map import map_library
    from audiorec.plots.user import USER_SIZE, user_figure
    from audiorec.recall.serving.one_user.portrait import portraits

    size = picture.check(USER_SIZE)
    check(interactions, InputKind.LOG)
    store = open_vectors(vectors, empty=False)
    plays = to_sequences(read_interactions(interactions))
    if user not in plays.owner_ids:
        raise InputError(f"{interactions}: has no user {user!r}")
    own = plays.take(np.array([plays.owner_ids.index(user)]))
    found = map_library(store.space(use_index=False))
    counts = np.bincount(own.among(store.ids).song, minlength=len(store))[found.rows]
    shares = portraits(own, side_of_store(store)).to_pylist()
    picture.write(user_figure(found, counts.astype(np.int64), shares, title=user, size=size))
    if json:
        kept = [{n: v for n, v in row.items() if n != "user_id"} for row in shares]
        document = {
            "schema": "audiorec/plot-user/1",
            "picture": str(picture.out),
            "user_id": user,
            "songs": int(np.count_nonzero(counts)),
            "plays": int(counts.sum()),
            "shares": kept,
        }
        print_json(document)


def report(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="REPORT...", help="Output of recall evaluate --json."),
    ],
    *,
    picture: PictureOptions,
    k: Annotated[
        int | None, typer.Option("--k", "-k", min=1, help="Length of the lists [default: longest].")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Draw reports of channels side by side: each measure with its interval.

    Examples
    --------
    audiorec plot report report.json --out report.png
    audiorec plot report report.json --k 10 --out report.svg
    audiorec plot report report.json --out report.html --json
    """
    from audiorec.plots.report import report_figure, report_rows

    usual = (2.0, 2.0)  # inches, only to check the options: otherwise the content decides the size
    picture.check(usual)
    documents = [(path.name, _read(path)) for path in files]
    rows, size = report_rows(documents, k)
    figure = report_figure(rows, title=f"lists of {size}")
    if picture.inches is not None:
        figure.set_size_inches(*picture.inches)
    picture.write(figure)
    if json:
        document = {
            "schema": "audiorec/plot-report/1",
            "picture": str(picture.out),
            "k": size,
            "channels": list(rows),
        }
        print_json(document)


def _read(path: Path) -> object:
    """Read a report; raise `DamagedFileError` if it is not JSON."""
    from audiorec.files.json_files import parse_json

    if not path.is_file():
        raise MissingFileError(
            f"{path}: no such file; make one: audiorec recall evaluate CHANNEL -i LOG --json"
        )
    if path.stat().st_size > MAX_REPORT:
        raise DamagedFileError(f"{path}: too large for a report")
    try:
        return parse_json(path.read_bytes(), max_bytes=MAX_REPORT)
    except ValueError as error:
        raise DamagedFileError(f"{path}: is not JSON: {error}") from error
