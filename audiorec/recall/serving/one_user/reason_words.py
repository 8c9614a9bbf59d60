"""Word the reason for a song as one short English phrase."""

from audiorec.recall.contract.candidates import ReasonKind

ONCE, TWICE = 1, 2
FEW = 2  # minimum number of shared owners that is mentioned


def reason_phrase(
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
    """Return a reason as an English phrase.

    Parameters
    ----------
    reason : str
        A `ReasonKind`.
    evidence : str, optional
        Title of the user's song that explains the candidate.
    times, week : int
        How often the user finished the evidence (for ``replay``: the proposed song), in total and
        in the last seven days.
    listeners : int
        Users who played the proposed song.
    together : int
        Users who played both songs.
    lists : int
        Playlists that contain both songs.
    liked : bool
        Whether the user marked the evidence as liked.
    same_artist : bool
        Whether both songs are by one artist.
    genre : str
        Genre of the proposed song, if it is one of the user's main genres.
    cold : bool
        Whether nobody has played the proposed song yet.

    Examples
    --------
    >>> reason_phrase("sound", evidence="Blue", times=2)
    'sounds like Blue, which you played twice'
    >>> reason_phrase("follows", evidence="Blue", times=3, week=2)
    'often played after Blue, which you finished twice this week'
    >>> reason_phrase("listeners", evidence="Blue", lists=14)
    'in 14 lists with Blue'
    >>> reason_phrase("sound", evidence="Blue", genre="jazz", cold=True)
    'new, sounds like your jazz'
    >>> reason_phrase("replay", times=5)
    'you come back to it: played 5 times'
    >>> reason_phrase("taste")
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
        case ReasonKind.POPULAR_NOW:
            said = "popular now"
        case ReasonKind.FOLLOWS:
            said = f"often played after {known}" if known else "often played after your last songs"
        case ReasonKind.LISTENERS:
            said = _by_listeners(evidence, known, together, lists)
        case ReasonKind.LIKED:
            done = "liked" if liked else "played"
            how = "sounds like" if cold else "goes with"  # a song without plays is found by sound
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
