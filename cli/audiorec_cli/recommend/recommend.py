"""``audiorec recommend USER``: recommend songs to one user, each with a reason."""

import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiorec.errors import InputError
from audiorec.options import argument, chooses, reads
from audiorec.recall.serving.answers import RecommendQuestion
from audiorec_cli.shared.console import Column, print_json, print_json_lines, print_table, say
from audiorec_cli.shared.inputs import usual_vectors
from audiorec_cli.shared.listening import say_known, sound_files
from audiorec_cli.shared.options import (
    ADVANCED,
    KNOWN,
    LogOption,
    ModelsOption,
    ProfilesOption,
    SideOption,
    store_file,
)
from audiorec_cli.shared.song_lists import ListForm

if TYPE_CHECKING:
    from audiorec.recall.serving.answers import RecommendAnswer, Recommendation, SongExplanation
    from audiorec.recall.serving.one_user.recommend import Recommender

COLUMNS = ("rank", Column("song_id", shown=False), "title", "artist", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommenderOptions:
    """Inputs beside the log: song metadata, sound, playlists and trained models."""

    vectors: Annotated[
        Path | None,
        store_file(
            metavar="FILE",
            help="Sound of songs: a store, with their titles, or embeddings.parquet.",
            panel=KNOWN,
        ),
    ] = None
    side: SideOption = None
    profiles: ProfilesOption = None
    lists: Annotated[
        Path | None,
        reads(log=True, help="Playlists made by users [default: those in LOG].", panel=KNOWN),
    ] = None
    models: ModelsOption = None
    tuned: Annotated[
        Path | None,
        reads(metavar="JSON", help="Weights of recall tune, or of a night.", panel=ADVANCED),
    ] = None

    def recommender(self, interactions: Path) -> "Recommender":
        """Read all inputs and return the recommender."""
        from audiorec.listening.profiles import read_profiles
        from audiorec.listening.reading import LogReading
        from audiorec.listening.sequences import to_sequences
        from audiorec.listening.side import read_side
        from audiorec.recall.contract.training import read_context
        from audiorec.recall.serving.fuse import read_weights
        from audiorec.recall.serving.one_user.recommend import Recommender

        vectors = self.vectors or usual_vectors("titles and sound from")
        files = sound_files(vectors)
        store = files.pop("vectors", None)
        log = LogReading().log
        read = log(interactions)
        if store is not None:
            say_known(vectors, store.ids, read.song_ids)
        made = to_sequences(log(self.lists), by="list") if self.lists else None
        return Recommender(
            log=read,
            store=store,
            sound=read_context(**files).sound,
            known=read_side(self.side) if self.side else None,
            people=read_profiles(self.profiles) if self.profiles else None,
            models=self.models,
            lists=made,
            weights=read_weights(self.tuned) if self.tuned else None,
        )


def recommend(
    user: Annotated[
        str, argument(metavar="USER", help="A user id; new ones get the default list.")
    ],
    interactions: LogOption,
    why: Annotated[
        str | None, chooses(metavar="SONG", help="Show how each channel ranks one song.")
    ] = None,
    *,
    question: RecommendQuestion,
    known: RecommenderOptions,
    form: ListForm,
) -> None:
    """Recommend songs to one user of a log, each with a reason.

    The log alone is enough. A store adds the sound of the songs; trained models add their
    candidates.

    Examples
    --------
    audiorec recommend u1 --interactions plays.parquet --vectors vecs.parquet
    audiorec recommend u1 -i plays.parquet --entry radio --m3u8 radio.m3u8
    audiorec recommend u1 -i plays.parquet --why jazz-vibraphone.mp3
    """
    asked = replace(question, user_id=user)
    if why is not None and asked.what != "songs":
        raise InputError(f"--why explains a song; it cannot be combined with --what {asked.what}")
    if asked.what == "lists" and form.m3u8 is not None:
        raise InputError("--m3u8 writes songs; it cannot be used with --what lists")
    form.check()
    recommender = known.recommender(interactions)
    if why is not None:
        result = recommender.explain(user, why, asked.k, entry=asked.entry)
        _explain(result, user, asked.entry, json=form.json)
        return
    answer = recommender.ask(asked)
    if form.json:
        print_json_lines(answer.rows())
    elif form.is_table:
        _print(answer)
    form.write(answer.entries())
    for line in answer.remarks:
        say(line)


def _print(answer: "RecommendAnswer") -> None:
    """Print a table; mixes are one table each on a terminal, and one in a pipe."""
    from audiorec.recall.serving.rules import ENTRIES

    asked, user = answer.question, answer.question.user_id
    if asked.what == "lists":
        lists = [(one.rank, one.list_id, one.songs, one.reason) for one in answer.lists]
        columns = ("rank", "list", "songs", "reason")
        print_table(columns, lists, title=f"{user}: playlists made by users")
    elif asked.what == "mixes" and not sys.stdout.isatty():
        rows = [(mix.name, *_row(song)) for mix in answer.mixes for song in mix.songs]
        print_table(("list", *COLUMNS), rows, title=user)
    else:
        about = f"{asked.entry}, {ENTRIES[asked.entry].about}"
        for mix in answer.mixes:
            print_table(COLUMNS, map(_row, mix.songs), title=f"{user}: {mix.name or about}")


def _row(song: "Recommendation") -> tuple[int, str, str, str, str]:
    return song.rank, song.song_id, song.title or song.song_id, song.artist, song.reason


def _explain(found: "SongExplanation", user: str, entry: str, *, json: bool) -> None:
    """Print the rank and reason each channel gives a song, and whether it is recommended."""
    named = found.title or found.song_id
    if json:
        print_json({"schema": "audiorec/recommend-why/1", "user_id": user, **asdict(found)})
    elif found.proposals:
        rows = [(one.channel, one.rank, one.reason) for one in found.proposals]
        of = f" by {found.artist}" if found.artist else ""
        print_table(("channel", "rank", "reason"), rows, title=f"{named}{of} for {user}")
    if not found.proposals:
        say(f"no channel proposes {named} to {user}")
    if found.excluded_because:
        say(f"it is not recommended: {found.excluded_because}")
    elif found.place:
        say(f"rank {found.place} in the list {entry}")
    elif found.proposals:
        say(f"not in the list {entry}: other songs rank higher, or a cap excludes it")
