"""What the space of vectors is called, so that only what belongs together is compared."""

from audiorec.spec import fingerprint


def space_of(space: str, number: int) -> str:
    """Return what the space of one item side is called, of a partner that calls its own `space`.

    The vectors of an mmoe for one business say nothing of the items of another.
    """
    return fingerprint({"space": space, "business": number}) if number else space
