"""``audiorec neighbours``: the nearest songs of every song, as a resumable job."""

from functools import partial
from typing import Annotated

from audiorec.errors import InputError
from audiorec.options import chooses
from audiorec.search.questions import AlsoOption, Compared
from audiorec_cli.shared.console import counted, print_json, say
from audiorec_cli.shared.inputs import VectorsOption, open_vectors, say_basis, say_non_music
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import JsonOption, OutFileOption, QuietOption
from audiorec_cli.shared.progress import graceful_stop, progress_lines, stopped


@recorded("neighbours", "output")
def neighbours(
    output: OutFileOption,
    vectors: VectorsOption = None,
    k: Annotated[int, chooses("--k", "-k", min=1, help="Number of songs for each song.")] = 20,
    quiet: QuietOption = False,
    by: Compared = "auto",
    also: AlsoOption = (),
    json: JsonOption = False,
    *,
    done: JobSummary,
) -> None:
    """Write the nearest songs of every song of a store to a Parquet file.

    The columns are song_id, rank, neighbour_id and similarity. If it is stopped or killed, the
    same command resumes it.

    Examples
    --------
    audiorec neighbours --out neighbours.parquet
    audiorec neighbours --out neighbours.parquet --k 100 --quiet
    audiorec neighbours --out by-mean.parquet --by mean --json
    """
    from audiorec.search.all_pairs import all_pairs

    if output.is_dir() or not output.parent.is_dir():
        raise InputError(
            f"{output}: cannot be written: it is a folder, or its folder does not exist"
        )
    store = open_vectors(vectors, empty=False, by=by)
    space = store.space(by, use_index=False)
    progress = partial(progress_lines(quiet=quiet), "blocks of 4,096 songs")
    with graceful_stop("this block is", quiet=quiet) as stop:
        finished = all_pairs(
            store,
            output,
            k=k,
            by=by,
            also=also,
            progress=progress,
            stop=stop,
        )
    if not finished:
        raise stopped()
    songs = len(space) if "non-music" in also else int(store.music[space.rows].sum())
    done.count(songs=songs)
    if json:
        summary = {"out": str(output), "songs": songs, "k": k, "by": space.by, "exact": True}
        print_json({"schema": "audiorec/neighbours/1", **summary})
    say_basis(store, by)
    say_non_music(len(space) - songs)
    say(f"{counted(songs, 'song')}, up to {counted(k, 'neighbour')} each: {output}")
