"""Why a song is proposed, in one short English phrase."""

from audiorec.recall.contract.candidates import ReasonKind

ONCE, TWICE = 1, 2


def in_words(
    reason: str,
    *,
    evidence: str | None = None,
    times: int = 0,
    listeners: int = 0,
    cold: bool = False,
) -> str:
    """Return a reason as a person reads it.

    Parameters
    ----------
    reason : str
        A `ReasonKind`.
    evidence : str, optional
        The title of the song of the history that stands for it.
    times : int
        How often the user played that song, or the proposed one where it is replayed.
    listeners : int
        How many users played the proposed song.
    cold : bool
        Nobody has played it yet.

    Examples
    --------
    >>> in_words("sound", evidence="Blue", times=2)
    'sounds like Blue, which you played twice'
    >>> in_words("sound", evidence="Blue", cold=True)
    'new; sounds like Blue'
    >>> in_words("replay", times=5)
    'you come back to it: played 5 times'
    >>> in_words("taste")
    'close to what you listen to'
    """
    played = f", which you played {_times(times)}" if times > ONCE else ""
    known = None if evidence is None else f"{evidence}{played}"
    match reason:
        case ReasonKind.REPLAY:
            said = f"you come back to it: played {_times(times)}"
        case ReasonKind.POPULAR:
            said = f"popular: {listeners:,} listeners" if listeners > 1 else "popular"
        case ReasonKind.FOLLOWS:
            said = f"often played after {known}" if known else "often played after your last songs"
        case ReasonKind.LISTENERS:
            said = f"by listeners of {known}" if known else "by listeners of the same songs"
        case ReasonKind.SOUND:
            said = f"sounds like {known}" if known else "sounds like your last songs"
        case ReasonKind.ARTIST:
            said = (
                f"its artist sounds like that of {known}"
                if known
                else "sounds like artists you like"
            )
        case ReasonKind.TASTE:
            said = f"close to {known}" if known else "close to what you listen to"
        case _:
            said = f"because of {known}" if known else "proposed by another system"
    return f"new; {said}" if cold else said


def _times(n: int) -> str:
    return {ONCE: "once", TWICE: "twice"}.get(n, f"{n} times")
