"""Ids of embedding spaces, so that only vectors of the same space are compared."""

from audiorec.spec import fingerprint


def space_of(space: str, number: int) -> str:
    """Return the space id of item side `number` of a partner whose own id is `space`.

    An mmoe's vectors for one business cannot be compared with the items of another.
    """
    return fingerprint({"space": space, "business": number}) if number else space
