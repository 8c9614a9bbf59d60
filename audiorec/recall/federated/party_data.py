"""Readers of a party's data, from the files named in its plan.

plan ──own_ids──▶ ids to align      ──music_data──▶ plays, songs and their side information
"""

from audiorec.files.user_files import read_lines, read_table
from audiorec.listening.interactions import read_interactions
from audiorec.listening.prepare import log_fingerprint
from audiorec.listening.profiles import read_profiles
from audiorec.listening.sequences import to_sequences
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.reading import read_context
from audiorec.recall.federated.alignment import Normalised
from audiorec.recall.federated.plan import PartyPlan


def own_ids(plan: PartyPlan) -> Normalised:
    """Return the user ids that a party aligns, in the common form.

    Raises
    ------
    InputError
        If the table or the list cannot be read or has an empty id.
    """
    failure = "cannot read the user ids"
    if plan.ids is None and plan.role == "partner":
        return Normalised.of(read_profiles(plan.needs("profiles")).user_ids)
    if plan.ids is None:
        log = read_interactions(plan.needs("interactions"))
        return Normalised.of(to_sequences(log).owner_ids)
    if plan.ids.suffix.lower() in (".txt", ".lst"):
        lines = (line.strip("\r") for line in read_lines(str(plan.ids), failure))
        return Normalised.of(line for line in lines if line.strip())
    table = read_table(plan.ids, failure, needed=("user_id",), texts=True)
    return Normalised.of("" if one is None else str(one) for one in table["user_id"].to_pylist())


def music_data(plan: PartyPlan) -> RecallData:
    """Read an item side's plays, songs and side information."""
    log = plan.needs("interactions")
    context = read_context(vectors=plan.vectors, songs=plan.songs, side=plan.side)
    read = read_interactions(log)
    prints = (log_fingerprint(log),)
    return RecallData(
        to_sequences(read), context.song_ids, context, prints, simulated=read.simulated
    )
