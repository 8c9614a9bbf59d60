"""Plan of one party, the table ``[federated]`` of its settings file, and the data that it names.

party.toml ──PartyPlan.read──▶ role, the other party, data files, recipe
plan ──own_ids──▶ ids to align      ──music_data──▶ plays, songs and their side information
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from audiorec.columns import ListColumns
from audiorec.errors import InputError
from audiorec.files.user_files import from_table, read_lines, read_settings, read_table
from audiorec.listening.interactions import read_interactions
from audiorec.listening.log_files import log_fingerprint
from audiorec.listening.profiles import read_profiles
from audiorec.listening.sequences import to_sequences
from audiorec.options import check_fields
from audiorec.recall.contract.data import RecallData
from audiorec.recall.contract.training import read_context
from audiorec_federated.alignment import Normalised
from audiorec_federated.ledger import Budget
from audiorec_federated.noise import Defence
from audiorec_federated.recipe import RECIPES, PartyRecipe

Role = Literal["music", "partner"]
PATHS = (
    *("keys", "peer", "out", "alignment", "ledger"),
    *("ids", "interactions", "side", "vectors", "songs", "profiles"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyPlan:
    """The table ``[federated]`` of a settings file. Paths are relative to the file.

    Attributes
    ----------
    role : {"music", "partner"}
        ``partner`` has the user profiles and calls; ``music`` has the plays and listens.
    keys : Path
        Folder of this party's key, which ``federated align`` makes.
    peer : Path
        Certificate of the other party.
    address : str
        ``host:port`` where the music side listens.
    out : Path
        Folder of this party's model.
    alignment : Path
        File written by ``federated align``.
    ids : Path, optional
        User ids to align: a table with ``user_id``, or a list with one id per line. By default
        those of the log or of the profiles.
    interactions, side, vectors, songs : Path, optional
        Music side only: the listening log, and side information of songs.
    profiles : Path, optional
        Partner only: a table of users and their attributes.
    model : {"one-way", "two-tower", "mmoe"}
        The same for both parties.
    recipe : mapping
        Settings of the model, the same for both parties; ``recall train one-way`` shows them.
    defence : mapping
        ``clip``, ``noise``, ``rounding``, ``vector_noise``: defence of the numbers that are sent.
    ledger : Path, optional
        File of what this party has let others learn (`audiorec_federated.ledger`). By
        default ``ledger.json`` beside the log or the profiles, for whichever partner.
    budget : mapping
        ``epsilon`` and ``delta`` of all releases together, ``ids_a_day`` that a party may try,
        ``least_users`` of an alignment and of a table of vectors.
    jobs : int
        Number of processes for the alignment.
    timeout_s, wait_s : float
        Time limit of an answer, and of waiting for a lost party, in seconds.
    file : Path or None
        The settings file itself, for messages; not a key of it.
    """

    role: Role
    keys: Path
    peer: Path
    address: str
    out: Path = Path("model")
    alignment: Path = Path("aligned.parquet")
    ids: Path | None = None
    interactions: Path | None = None
    side: Path | None = None
    vectors: Path | None = None
    songs: Path | None = None
    profiles: Path | None = None
    model: Literal["one-way", "two-tower", "mmoe"] = "one-way"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    defence: Mapping[str, Any] = field(default_factory=dict)
    ledger: Path | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)
    jobs: int = 1
    timeout_s: float = 60.0
    wait_s: float = 600.0
    file: Path | None = field(default=None, init=False, compare=False)

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65_535:
            raise InputError(f"address must be host:port, got {self.address!r}")
        check_fields(self, jobs=">=1", timeout_s=">0", wait_s=">0")
        self.settings()
        self.parsed_defence()
        self.parsed_budget()

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a settings file.

        Raises
        ------
        InputError
            If the file is missing or damaged, or has an unknown key or a wrong value.
        """
        content = read_settings(path, "federated")
        plan = from_table(cls, dict(content), f"{path}: [federated]")
        given = {name: getattr(plan, name) for name in PATHS}
        result = replace(plan, **{n: path.parent / one for n, one in given.items() if one})
        object.__setattr__(result, "file", path)
        return result

    def settings(self) -> PartyRecipe:
        """Return the recipe."""
        return from_table(RECIPES[self.model], self.recipe, "recipe")

    def parsed_defence(self) -> Defence:
        """Return the defence of numbers that are sent."""
        return from_table(Defence, self.defence, "defence")

    def parsed_budget(self) -> Budget:
        """Return the budget of what others may learn."""
        return from_table(Budget, self.budget, "budget")

    @property
    def ledger_path(self) -> Path:
        """The ledger: beside the data, since it counts what these data have told."""
        data = self.interactions if self.role == "music" else self.profiles
        return self.ledger or (data or self.ids or self.out).with_name("ledger.json")

    def needs(self, name: str) -> Path:
        """Return the path of a required file."""
        place: Path | None = getattr(self, name)
        if place is None:
            raise InputError(f"[federated] has no {name}, which the {self.role} side needs")
        return place


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
    table = read_table(plan.ids, failure, needed=(ListColumns.USER,), texts=True)
    return Normalised.of(
        "" if one is None else str(one) for one in table[ListColumns.USER].to_pylist()
    )


def music_data(plan: PartyPlan) -> RecallData:
    """Read the music side's plays, songs and side information."""
    log = plan.needs("interactions")
    context = read_context(vectors=plan.vectors, songs=plan.songs, side=plan.side)
    read = read_interactions(log)
    prints = (log_fingerprint(log),)
    return RecallData(
        to_sequences(read), context.song_ids, context, prints, simulated=read.simulated
    )
