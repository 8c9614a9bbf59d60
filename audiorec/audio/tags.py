"""Title, artist and album of a file, where it is tagged.

    path ──read_tags──▶ `SongTags`

Tags are shown beside a song and are never what it is recognised by. They come from anyone,
so a broken or hostile tag gives an empty field and not an error.
"""

from dataclasses import dataclass

from audiorec.audio.sniff import PathLike, open_regular
from audiorec.audio.ufid import musicbrainz_ufid
from audiorec.errors import SongError

MAX_CHARACTERS = 500  # of a field; some tools store lyrics as a title
# One name for the recording's id per family of tags: Vorbis comments, then ID3 and MP4.
_TRACK_ID_FIELDS = ("musicbrainz_trackid", "musicbrainz track id", "musicbrainz_track_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class SongTags:
    """What a file's tags say; None where they say nothing.

    Attributes
    ----------
    title, artist, album : str or None
    isrc : str or None
        International Standard Recording Code.
    musicbrainz_trackid : str or None
        The recording's id at MusicBrainz.
    """

    title: str | None = None
    artist: str | None = None
    album: str | None = None
    isrc: str | None = None
    musicbrainz_trackid: str | None = None


def read_tags(path: PathLike) -> SongTags:
    """Read the tags of a file: ID3, APE, Vorbis comments, MP4.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    SongTags
        Fields without control characters, of at most 500 characters. All None for a file
        that is missing, broken or of a format without tags: whether it is audio is for
        `decode` to say. Pictures are not read.
    """
    from tinytag import TinyTag, TinyTagException  # late: a run's parent reads no tags

    try:
        with open_regular(path) as file:
            tag = TinyTag.get(file_obj=file, tags=True, duration=False, image=False)
            track_ids = (tag.other.get(name) for name in _TRACK_ID_FIELDS)
            track_id = _clean(next(filter(None, track_ids), None)) or musicbrainz_ufid(file)
    except (SongError, OSError, TinyTagException):
        return SongTags()
    return SongTags(
        title=_clean(tag.title),
        artist=_clean(tag.artist),
        album=_clean(tag.album),
        isrc=_clean(tag.other.get("isrc")),
        musicbrainz_trackid=track_id,
    )


def read_tag(path: PathLike, name: str) -> str | None:
    """Read one tag by its name.

    Parameters
    ----------
    path : path-like
    name : str
        ``title``, ``artist``, ``album``, ``isrc``, ``musicbrainz_trackid``, or what the tag
        is called in the file, in lower case: ``catalog_number``, ``acoustid_id``.

    Returns
    -------
    value : str or None
        Cleaned as in `read_tags`; None where the file has no such tag or cannot be read.
    """
    if name in SongTags.__slots__:
        found: str | None = getattr(read_tags(path), name)
        return found
    from tinytag import TinyTag, TinyTagException

    try:
        with open_regular(path) as file:
            tag = TinyTag.get(file_obj=file, tags=True, duration=False, image=False)
    except (SongError, OSError, TinyTagException):
        return None
    plain = name.replace("_", " ")
    return _clean(tag.other.get(name) or tag.other.get(plain) or tag.as_dict().get(name))


def header_duration_s(path: PathLike) -> float | None:
    """Return the seconds that a file's header promises, None where it promises nothing.

    Good enough to estimate a run's time; what counts is what `decode` finds.
    """
    from tinytag import TinyTag, TinyTagException

    try:
        with open_regular(path) as file:
            return TinyTag.get(file_obj=file, tags=False, duration=True).duration
    except (SongError, OSError, TinyTagException):
        return None


def _clean(value: object) -> str | None:
    """Return a field as one line of text; the first where there are several."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, str):
        return None
    # Line breaks and tabs part words; other control characters part nothing.
    spaced = " ".join(first[: 4 * MAX_CHARACTERS].split())
    return "".join(c for c in spaced if c.isprintable())[:MAX_CHARACTERS].strip() or None
