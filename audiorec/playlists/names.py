"""Names for groups of songs, which say only what at least half of the songs have.

    facts of songs, groups ──name_groups──▶ [`GroupName`, ...]: text, what it says, share

A name is made of what is certain about songs: an artist, a genre or style or two of them, whose
voices, the tempo, the decade. Each part is added as long as half of the group have all of it, and
unless most of the library have it anyway. A group that shares nothing, or the name of another one,
is named after its most typical song. All names are unique, ignoring case.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audiorec.files.m3u8 import BIDI
from audiorec.search.explain import SureFacts, word
from audiorec.types import normalised_name

HALF = 0.5  # share of a group's songs that have what its name says, at least
KEPT = 0.4  # the same for a name that a group had before
ORDINARY = 0.7  # what more of the library have sets no group apart
EITHER = 0.2  # share that each of two genres has, at least
MOST_PARTS = 3
MOST_NAME = 60  # characters
TEMPO_SPAN = 1.12  # ratio of the fastest to the slowest song
VERSIONS = {"voice": "with voices", "voice alone": "voices alone", "instrumental": "instrumental"}
SINGERS = {"woman": "sung by women", "man": "sung by men"}
Part = tuple[str, str]  # a kind, and a value: ("style", "reggae"), ("tempo", "96..104")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupName:
    """The name of a group of songs.

    Attributes
    ----------
    text : str
    says : tuple of (str, str)
        What it says of the songs: a kind and a value each.
    around : str
        Id of the song that it is named after; empty for none.
    share : float or None
        Share of the songs that have all that it says; None if it names a song alone.
    """

    text: str
    says: tuple[Part, ...] = ()
    around: str = ""
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListToName:
    """A group of songs to name.

    Attributes
    ----------
    songs : sequence of SureFacts
    ids : collection of str
    typical, title : str
        Id of the most typical song, and its artist and title, or the name of its file.
    """

    songs: Sequence[SureFacts]
    ids: Sequence[str]
    typical: str
    title: str


def name_groups(
    groups: Sequence[ListToName], *, kept: Mapping[int, GroupName] | None = None
) -> list[GroupName]:
    """Name every group.

    Parameters
    ----------
    groups : sequence of ListToName
        Together they are the library.
    kept : mapping of int to GroupName, optional
        Names to keep, by group, unless they are no longer true.
    """
    library = [song for group in groups for song in group.songs]
    names = {}
    for place, name in (kept or {}).items():
        now = _again(name, groups[place])
        if now is not None:
            names[place] = now
    new = {n: _said(group.songs, library) for n, group in enumerate(groups) if n not in names}
    texts = {n: _text(says) for n, says in new.items()}
    often = Counter(text.casefold() for text in texts.values())
    taken = {name.text.casefold() for name in names.values()}
    for n, says in new.items():
        text, folded = texts[n], texts[n].casefold()
        alone = bool(text) and often[folded] == 1 and folded not in taken
        around = "" if alone else groups[n].typical
        if not alone:
            text = _unique(_around(text, groups[n].title), taken)
        taken.add(text.casefold())
        share = share_of(says, groups[n].songs) if says else None
        names[n] = GroupName(text=text, says=says, around=around, share=share)
    return [names[n] for n in range(len(groups))]


def share_of(says: Sequence[Part], songs: Sequence[SureFacts]) -> float:
    """Return the share of songs that have all that a name says, 0 to 1.

    Examples
    --------
    >>> songs = [SureFacts(genre="jazz", bpm=100.0), SureFacts(genre="jazz"), SureFacts()]
    >>> round(share_of([("genre", "jazz")], songs), 2)
    0.67
    >>> round(share_of([("genre", "jazz"), ("tempo", "96..104")], songs), 2)
    0.33
    """
    tests = [_test(part) for part in says]
    return sum(all(has(song) for has in tests) for song in songs) / max(1, len(songs))


def _again(name: GroupName, group: ListToName) -> GroupName | None:
    """Return a name with its share of today; None if it is not known to be true."""
    if not name.says and not name.around:
        return None
    share = share_of(name.says, group.songs) if name.says else None
    is_gone = bool(name.around) and name.around not in set(group.ids)
    if is_gone or (share is not None and share < KEPT):
        return None
    return GroupName(text=name.text, says=name.says, around=name.around, share=share)


def _said(songs: Sequence[SureFacts], library: Sequence[SureFacts]) -> tuple[Part, ...]:
    """Return what a name may say of some songs, the most telling first: of two of them at least."""
    says: tuple[Part, ...] = ()
    least = max(HALF, 2 / max(2, len(songs)))
    for part in _parts(songs):
        usual = len(songs) < len(library) and share_of([part], library) > ORDINARY
        is_new = not usual and not _is_said(part, says) and len(says) < MOST_PARTS
        if is_new and share_of((*says, part), songs) >= least:
            says = (*says, part)
    return says


def _parts(songs: Sequence[SureFacts]) -> Iterator[Part]:
    """Yield what at least half of some songs have."""
    for artist, names in _by_artist(songs):
        if 2 * len(names) >= len(songs) and artist:
            yield "artist", names[0]
    yield from _genres(songs)
    for kind in ("singer", "version"):
        values = Counter(value for song in songs if (value := getattr(song, kind)))
        yield from ((kind, value) for value, _ in values.most_common(1))
    if tempo := _tempo([song.bpm for song in songs if song.bpm]):
        yield "tempo", tempo
    decades = Counter(10 * (song.year // 10) for song in songs if song.year)
    yield from (("decade", str(decade)) for decade, _ in decades.most_common(1))


def _by_artist(songs: Sequence[SureFacts]) -> Iterator[tuple[str, list[str]]]:
    result: dict[str, list[str]] = {}
    for song in songs:
        result.setdefault(normalised_name(song.artist), []).append(song.artist)
    yield from result.items()


def _genres(songs: Sequence[SureFacts]) -> Iterator[Part]:
    """Yield the genre or style of most songs, or two that most have either of."""
    labels = Counter(
        part
        for song in songs
        for part in [("genre", song.genre)] * bool(song.genre) + [("style", s) for s in song.styles]
    )
    first = labels.most_common(1)
    if first and first[0][1] >= HALF * len(songs):
        yield first[0][0]
        return
    often = [part for part, count in labels.most_common() if count >= EITHER * len(songs)]
    pairs = [(one, other) for n, one in enumerate(often) for other in often[n + 1 :]]
    either = [("either", "|".join(f"{kind}={value}" for kind, value in pair)) for pair in pairs]
    if either:
        yield max(either, key=lambda part: share_of([part], songs))


def _tempo(beats: Sequence[float]) -> str:
    """Return the span of tempos that has most songs, as ``96..104``; empty without any."""
    ordered = np.sort(np.asarray(beats, np.float64))
    if not len(ordered):
        return ""
    ends = np.searchsorted(ordered, ordered * TEMPO_SPAN, side="right")
    start = int((ends - np.arange(len(ordered))).argmax())
    last = float(ordered[int(ends[start]) - 1])
    return f"{int(ordered[start])}..{int(np.ceil(last))}"


def _test(part: Part) -> Callable[[SureFacts], bool]:
    """Return whether a song has what one part of a name says."""
    kind, value = part
    if kind == "artist":
        name = normalised_name(value)
        return lambda song: normalised_name(song.artist) == name
    if kind == "style":
        return lambda song: value in song.styles
    if kind == "tempo":
        slow, _, fast = value.partition("..")
        return lambda song: song.bpm is not None and float(slow) <= song.bpm <= float(fast)
    if kind == "decade":
        return lambda song: song.year is not None and 10 * (song.year // 10) == int(value)
    if kind == "either":
        tests = [_test((k, v)) for k, _, v in (one.partition("=") for one in value.split("|"))]
        return lambda song: any(has(song) for has in tests)
    return lambda song: bool(getattr(song, kind, None) == value)


def _text(says: Sequence[Part]) -> str:
    text = ", ".join(_words(*part) for part in says)
    return (text[:1].upper() + text[1:])[:MOST_NAME].strip()


def _is_said(part: Part, says: Sequence[Part]) -> bool:
    """Whether another part says it too: sung by women has voices."""
    return part == ("version", "voice") and any(kind == "singer" for kind, _ in says)


def _words(kind: str, value: str) -> str:
    if kind == "artist":
        return plain(value)
    if kind == "singer":
        return SINGERS[value]
    if kind == "version":
        return VERSIONS[value]
    if kind == "tempo":
        slow, _, fast = value.partition("..")
        return f"{slow} BPM" if slow == fast else f"{slow} to {fast} BPM"
    if kind == "decade":
        return f"the {value}s"
    if kind == "either":
        return " or ".join(word(one.partition("=")[2]) for one in value.split("|"))
    return word(value)


def _around(text: str, title: str) -> str:
    name = f"{text}, around {title}" if text else f"Around {title}"
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 1].rstrip()}…"


def _unique(text: str, taken: set[str]) -> str:
    name, number = text, 1
    while name.casefold() in taken:
        number += 1
        name = f"{text} {number}"
    return name


def plain(text: str) -> str:
    """Return a tag as one line without characters that change the direction of text."""
    return BIDI.sub("", "".join(c for c in " ".join(text.split()) if c.isprintable()))
