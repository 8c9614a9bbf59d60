"""How well a song fits, as a word and as bars."""

STRONG, SOME = 0.75, 0.40  # probabilities
BARS = {"strong": "▮▮▮", "some": "▮▮▯", "weak": "▮▯▯", "": ""}


def word(probability: float | None) -> str:
    """Return ``strong``, ``some`` or ``weak``; empty where nothing is heard.

    Examples
    --------
    >>> word(0.9), word(0.5), word(0.1), word(None)
    ('strong', 'some', 'weak', '')
    """
    if probability is None:
        return ""
    return "strong" if probability >= STRONG else "some" if probability >= SOME else "weak"


def shown(probability: float | None) -> str:
    """Return the same with bars, for a table.

    Examples
    --------
    >>> shown(0.5)
    '▮▮▯ some'
    """
    said = word(probability)
    return f"{BARS[said]} {said}".strip()
