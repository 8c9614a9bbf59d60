"""What can be asked of a library, one class per kind of list, and which songs may be in it.

    SimilarQuestion(seeds=("etude",))         ──Library.ask──▶ `SimilarSongs`
    PathQuestion(seeds=("etude", "prelude"))  ──Library.ask──▶ `PathOfSongs`
    PlaylistQuestion(seeds=("etude",))        ──Library.ask──▶ `PlaylistOfSongs`
    FindQuestion(text="calm piano, no drums") ──Library.ask──▶ `DescribedSongs`

Commands, the page and the servers all ask these questions. Importing this module loads no numpy.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from audiorec.errors import InputError
from audiorec.options import ADVANCED, chooses, setting

MINIMUM = 0.0  # below 0, two songs lie on opposite sides of the average
Also = Literal["copies", "non-music"]
GenreFrom = Literal["tags", "sound", "both"]
Order = Literal["flow", "tempo", "key", "energy"]
SONG_COUNT = chooses("--k", "-k", min=1, help="Number of songs.")
ONLY = chooses(
    metavar="CONDITIONS",
    help='Conditions: "genre=jazz|blues, genre.metal<0.2, duration<10:00, artist!=Abba".',
)
EXCLUDE = chooses(metavar="SONGS", help="Exclude an id, a part of ids, a folder/ or a glob.")
ALSO = chooses(
    metavar="copies|non-music",
    help="Allow copies of a recording; allow speech, noise, silence and jingles.",
    panel=ADVANCED,
)
GENRE_FROM = chooses(
    metavar="tags|sound|both",
    help="Genre and style in conditions: of a file's tags if they name one, else its sound.",
    panel=ADVANCED,
)
ONE_VERSION = chooses(
    "--one-version", help="List one version of a title: live ones and others are copies."
)
WORDS = chooses(
    metavar="SENTENCE",
    help='What the songs should be like beside the seeds: "but calmer, no drums".',
)
STEPS = chooses(
    "--steps", "-n", min=1, help="Songs between the two ends of a path.", panel=ADVANCED
)
COMPARED = chooses(
    metavar="sound|vector|FILE",
    help="Compare by sound, by the vector (as in a store without sound), or by the learnt "
    "embeddings in a file.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which songs are eligible, and how many per artist or album.

    Attributes
    ----------
    only : str, optional
        Conditions that every song must meet; `audiorec.search.filters` has the grammar.
    genre_from : {"tags", "sound", "both"}
        Where genres and styles in conditions come from: a file's own tag where it names one, else
        the sound; the sound alone; or either of both.
    exclude : collection of str
        Songs to leave out: an id, part of an id, a folder (``live/``) or a glob.
    per_artist, per_album : int, optional
        Maximum number of songs per artist or album, the query's own included; 0: no limit.
    also : collection of {"copies", "non-music"}
        What is left out otherwise: further copies of a recording, such as other encodings, and
        those of the question's own songs; speech, noise, silence and jingles.
    one_version : bool
        Whether live, remastered, edited, instrumental, acoustic and demo versions of one title by
        one artist count as one recording.
    exclude_ids : collection of str
        Exact ids to leave out; unknown ones are ignored.

    Raises
    ------
    InputError
        If a limit is negative, `also` has another word, or copies with `one_version`.
    """

    only: str | None = setting(None, ONLY)
    exclude: Collection[str] = setting((), EXCLUDE)
    per_artist: int | None = setting(
        None, chooses("--max-per-artist", min=0, help="Most songs of one artist; 0: no limit.")
    )
    per_album: int | None = setting(
        None,
        chooses(
            "--max-per-album", min=0, help="Most songs of one album; 0: no limit.", panel=ADVANCED
        ),
    )
    also: Collection[Also] = setting((), ALSO)
    one_version: bool = setting(False, ONE_VERSION)
    genre_from: GenreFrom = setting("tags", GENRE_FROM)
    exclude_ids: Collection[str] = ()

    def __post_init__(self) -> None:
        for name, most in (("per_artist", self.per_artist), ("per_album", self.per_album)):
            if most is not None and most < 0:
                raise InputError(f"{name} must be at least 1, or 0 for no limit, got {most}")
        if wrong := set(self.also) - {"copies", "non-music"}:
            raise InputError(f"also must be copies or non-music, got {min(wrong)!r}")
        if self.genre_from not in get_args(GenreFrom):
            raise InputError(f"genre_from must be tags, sound or both, got {self.genre_from!r}")
        if self.one_version and "copies" in self.also:
            raise InputError("one version and also copies contradict each other: choose one")


SPREAD = Choice(per_artist=2)  # default of playlists: at most two songs per artist


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What all questions have in common.

    Attributes
    ----------
    seeds : collection of str or int
        The songs to start from: ids, unique parts of them, audio files, or rows of the store.
    by : {"auto", "sound", "vector"} or path
        The space in which songs are compared, or a file of learnt embeddings.
    choice : Choice
        Which songs may be listed.
    heads : tuple of path
        The heads of the store, if not the shipped ones: they score files that are not in it.
    why : bool
        Whether the answer's document says why each song is in the list.
    """

    seeds: Collection[str | int] = ()
    by: str | Path = setting("auto", COMPARED)
    choice: Choice = Choice()
    heads: tuple[Path, ...] = ()
    why: bool = setting(False, chooses(help="Say why: what two songs have in common."))


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarQuestion(Question):
    """Which songs are nearest to one song, or to several, each of whose tastes gets its share.

    Attributes
    ----------
    k : int
        Number of songs; fewer if fewer are eligible.
    diversity : float
        From 0, the nearest songs, to 1, songs as unlike each other as possible.
    minimum : float
        Minimum similarity; -1 admits all songs.
    less_like : collection of str or int
        Songs to search away from, at half the weight.
    mean : bool
        Search near the mean of the seeds, instead of near each of them.
    words : str
        What the songs should be like beside that, for example ``but calmer, without drums``.
    """

    k: int = setting(10, SONG_COUNT)
    diversity: float = setting(
        0.0, chooses(min=0, max=1, help="0: the nearest songs; 1: the most varied.", panel=ADVANCED)
    )
    minimum: float = setting(
        MINIMUM, chooses(min=-1, max=1, help="Minimum similarity; -1: list all.", panel=ADVANCED)
    )
    less_like: Collection[str | int] = setting(
        (),
        chooses(
            metavar="SONG", help="Search away from this song, at half the weight.", panel=ADVANCED
        ),
    )
    mean: bool = False
    words: str = setting("", WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PathQuestion(Question):
    """A smooth path from the first of two `seeds` to the second.

    Attributes
    ----------
    steps : int
        Number of songs between the two; fewer if the path cannot hold more.
    """

    steps: int = setting(8, replace(STEPS, panel=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaylistQuestion(Question):
    """A playlist near some songs, of a given length, with artists spread, along curves.

    Attributes
    ----------
    minutes : float
        Length of the playlist.
    curve : collection of str
        How the score of a class changes: ``metal:rise`` (or fall, arc, dip),
        ``vocal:0.1..0.9..0.1``; or the tempo: ``bpm:90..140``.
    artist_gap : int
        Minimum number of songs between two songs of one artist.
    mean : bool
        Stay near the mean of the seeds, instead of near each of them.
    words : str
        What the songs should be like; without seeds this alone tells them.
    """

    minutes: float = setting(60.0, chooses("--minutes", "-m", min=0.1, help="Playlist length."))
    curve: Collection[str] = setting(
        (),
        chooses(
            metavar="CLASS:SHAPE",
            help="How a class's score changes: metal:rise (or fall, arc, dip), "
            "vocal:0.1..0.9..0.1; or the tempo: bpm:90..140.",
        ),
    )
    artist_gap: int = 3
    choice: Choice = SPREAD
    mean: bool = False
    words: str = setting("", WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FindQuestion:
    """Which songs a sentence describes.

    Attributes
    ----------
    text : str
        For example ``calm piano at night, no drums``.
    k : int
        Number of songs; fewer if fewer are eligible.
    why : bool
        Whether the answer says how the sentence was understood, and what each song has of it.
    choice : Choice
        Which songs may be listed. Speech, noise and jingles also are if the sentence asks for
        something of the kind.
    """

    text: str = ""
    k: int = setting(10, SONG_COUNT)
    why: bool = setting(
        False, chooses(help="Say how the sentence was understood, and what each song has of it.")
    )
    choice: Choice = Choice()
