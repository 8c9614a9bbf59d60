"""``audiorec similar SONG...``: list the songs that sound most like some songs, or like all."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiorec.errors import InputError
from audiorec.search.questions import Choice, SimilarQuestion
from audiorec_cli.shared.console import counted, print_json, say
from audiorec_cli.shared.inputs import VectorsOption, open_vectors, say_basis
from audiorec_cli.shared.jobs import JobSummary, recorded
from audiorec_cli.shared.options import QuietOption, StoreHeadOption, chosen_heads, out_file
from audiorec_cli.shared.progress import graceful_stop, progress_lines, stopped
from audiorec_cli.shared.song_lists import (
    FromOption,
    ListForm,
    SeedsArgument,
    print_ranked,
    seed_names,
)

if TYPE_CHECKING:
    from audiorec.library.library import Library
    from audiorec.search.similar import SimilarSongs


@recorded("similar", "output")
def similar(
    songs: SeedsArgument = None,
    listed: FromOption = None,
    vectors: VectorsOption = None,
    head: StoreHeadOption = None,
    output: Annotated[Path | None, out_file(help="Write the nearest songs of every song.")] = None,
    quiet: QuietOption = False,
    *,
    asked: SimilarQuestion,
    form: ListForm,
    done: JobSummary,
) -> None:
    """List the songs nearest to one or several songs of the store, or to any audio files.

    "98 %" means closer to the nearest seed than 98 % of all pairs of songs in this store are to
    each other. Several seeds vote, and each of their tastes gets its share. They are not listed,
    but come first in a playlist, and count towards the limits per artist and album.

    With --out instead of a song, the nearest songs of every song are written to a table: song_id,
    rank, neighbour_id and similarity. If that is stopped or killed, the same command resumes it.

    Examples
    --------
    audiorec similar birds --max-per-artist 2 --m3u8 like.m3u8
    audiorec similar jazz-vibraphone.mp3 --words "but calmer, without drums" --why
    audiorec similar --out neighbours.parquet --k 20
    """
    form.check()
    question = replace(asked, seeds=seed_names(songs, listed), heads=chosen_heads(head))
    if output is not None:
        _check_all(question, output, form)
    store = open_vectors(vectors, empty=False, by=asked.by)
    if output is not None:
        _write_all(store, question, output, done, form=form, quiet=quiet)
        return
    result = store.ask(question)
    form.show(result, lambda: _print(result))
    say_basis(store, asked.by)


def _check_all(asked: SimilarQuestion, output: Path, form: ListForm) -> None:
    """Refuse what the nearest songs of every song do not have, and a file that cannot be."""
    also = Choice(also=asked.choice.also)
    if asked != SimilarQuestion(k=asked.k, by=asked.by, choice=also) or form.m3u8 is not None:
        raise InputError("--out is for every song: it takes --k, --by and --also, and no songs")
    if output.is_dir() or not output.parent.is_dir():
        raise InputError(
            f"{output}: cannot be written: it is a folder, or its folder does not exist"
        )


def _write_all(
    store: "Library",
    asked: SimilarQuestion,
    output: Path,
    done: JobSummary,
    *,
    form: ListForm,
    quiet: bool,
) -> None:
    """Write the nearest songs of every song, and say how many have some."""
    from audiorec.search.choice import non_music_left_out
    from audiorec.search.near import all_pairs

    by, k, also = asked.by, asked.k, asked.choice.also
    space = store.space(by)
    progress = partial(progress_lines(quiet=quiet), "blocks of 4,096 songs")
    with graceful_stop("this block is", quiet=quiet) as stop:
        finished = all_pairs(store, output, k=k, by=by, also=also, progress=progress, stop=stop)
    if not finished:
        raise stopped()
    songs = len(space) if "non-music" in also else int(store.music[space.rows].sum())
    done.count(songs=songs)
    if form.json:
        summary = {"out": str(output), "songs": songs, "k": k, "by": space.by}
        print_json({"schema": "audiorec/neighbours/1", **summary})
    say_basis(store, by)
    if len(space) > songs:
        say(non_music_left_out(len(space) - songs))
    say(f"{counted(songs, 'song')}, up to {counted(k, 'neighbour')} each: {output}")


def _print(found: "SimilarSongs") -> None:
    seeds, away = (
        " + ".join(seed.name for seed in named)
        for named in (found.asked.seeds, found.asked.less_like)
    )
    but = f", {found.question.words}" if found.question.words else ""
    title = f"similar to {seeds}{f', less like {away}' if away else ''}{but}, by {found.by}"
    print_ranked(found, title=title)
