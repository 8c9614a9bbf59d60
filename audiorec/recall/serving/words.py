"""Why a song is proposed, in one short English phrase."""

from audiorec.recall.contract.candidates import ReasonKind

ONCE, TWICE = 1, 2
FEW = 2  # owners of two songs, from which on their number is said


def in_words(
    reason: str,
    *,
    evidence: str | None = None,
    times: int = 0,
    week: int = 0,
    listeners: int = 0,
    together: int = 0,
    lists: int = 0,
    liked: bool = False,
    same_artist: bool = False,
    genre: str = "",
    cold: bool = False,
) -> str:
    """Return a reason as a person reads it.

    Parameters
    ----------
    reason : str
        A `ReasonKind`.
    evidence : str, optional
        The title of the song of the user that stands for it.
    times, week : int
        How often the user finished that song, or the proposed one where it is replayed: in all, and
        in the last seven days.
    listeners : int
        How many users played the proposed song.
    together : int
        How many played both.
    lists : int
        How many playlists hold both.
    liked : bool
        The user said to like the song that stands for it.
    same_artist : bool
        Both are by one artist.
    genre : str
        That of the proposed song, where the user plays much of it.
    cold : bool
        Nobody has played it yet.

    Examples
    --------
    >>> in_words("sound", evidence="Blue", times=2)
    'sounds like Blue, which you played twice'
    >>> in_words("follows", evidence="Blue", times=3, week=2)
    'often played after Blue, which you finished twice this week'
    >>> in_words("listeners", evidence="Blue", lists=14)
    'in 14 lists with Blue'
    >>> in_words("sound", evidence="Blue", genre="jazz", cold=True)
    'new, sounds like your jazz'
    >>> in_words("replay", times=5)
    'you come back to it: played 5 times'
    >>> in_words("taste")
    'close to what you listen to'
    """
    known = None if evidence is None else f"{evidence}{_played(times, week)}"
    match reason:
        case ReasonKind.REPLAY:
            said = f"you come back to it: played {_times(times)}"
            if times <= ONCE:
                said = "you played it before"
            if week > ONCE:
                said = f"you finished it {_times(week)} this week"
        case ReasonKind.POPULAR:
            said = f"popular: {listeners:,} listeners" if listeners > 1 else "popular"
        case ReasonKind.FOLLOWS:
            said = f"often played after {known}" if known else "often played after your last songs"
        case ReasonKind.LISTENERS:
            said = _by_listeners(evidence, known, together, lists)
        case ReasonKind.LIKED:
            done = "liked" if liked else "played"
            how = "sounds like" if cold else "goes with"  # nobody has played it: sound speaks
            what = f"{evidence}, which" if evidence else "what"
            said = f"{how} {what} you {done} lately"
        case ReasonKind.SOUND:
            if cold and genre:
                known = f"your {genre}"
            said = f"sounds like {known}" if known else "sounds like your last songs"
        case ReasonKind.ARTIST:
            said = "sounds like artists you like"
            if known:
                said = f"its artist sounds like that of {known}"
            if same_artist:
                said = f"by the artist of {known}"
        case ReasonKind.TASTE:
            said = f"close to {known}" if known else "close to what you listen to"
        case _:
            said = f"because of {known}" if known else "proposed by another system"
    return f"new, {said}" if cold else said


def _by_listeners(evidence: str | None, known: str | None, together: int, lists: int) -> str:
    if evidence is None:
        return "by listeners of the same songs"
    if lists >= FEW:
        return f"in {lists:,} lists with {known}"
    if together >= FEW:
        return f"{together:,} listeners of {evidence} play it"
    return f"by listeners of {known}"


def _played(times: int, week: int) -> str:
    if week > ONCE:
        return f", which you finished {_times(week)} this week"
    return f", which you played {_times(times)}" if times > ONCE else ""


def _times(n: int) -> str:
    return {ONCE: "once", TWICE: "twice"}.get(n, f"{n} times")
