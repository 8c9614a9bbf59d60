"""What one party is told: the table ``[federated]`` of its settings file.

party.toml ──PartyPlan.read──▶ who it is, where the others are, what it holds, the recipe
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self

from audiorec.errors import InputError
from audiorec.files.settings import filled, read_settings
from audiorec.recall.federated.noise import Defence
from audiorec.recall.federated.recipe import MmoeRecipe, TwoTowerRecipe

Role = Literal["music", "partner"]
RECIPES: Mapping[str, type[TwoTowerRecipe]] = {"two-tower": TwoTowerRecipe, "mmoe": MmoeRecipe}
READ = ("ids", "interactions", "side", "vectors", "songs", "profiles")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyPlan:
    """The table ``[federated]`` of a settings file. Paths are relative to the file.

    Attributes
    ----------
    role : {"music", "partner"}
        ``partner`` has the users' profiles and calls; ``music``, or any business with items,
        listens.
    keys : Path
        The folder that ``federated keys`` wrote.
    peers : tuple of str
        Certificates of the other parties: one at an item side, one for each item side at the
        partner.
    addresses : tuple of str
        ``host:port``: at an item side where it listens, at the partner where each of `peers` does.
    out : Path
        The folder of this party's model.
    alignment : Path
        What ``federated align`` writes.
    ids : Path, optional
        User ids to align: a table with ``user_id``, or a list, one a line. By default those of the
        log, or of the profiles.
    interactions, side, vectors, songs : Path, optional
        Of an item side: the listening log, and what is known of songs.
    profiles : Path, optional
        Of the partner: a table of users, and what is known of them.
    number : int
        Of an item side: which of the partner's `peers` it is, from 0.
    model : {"two-tower", "mmoe"}
        The same for all parties.
    recipe : mapping
        Settings of the model, the same for all parties; ``recall list two-tower`` has them.
    defence : mapping
        ``clip``, ``noise``, ``rounding``, ``vector_noise``: what is done to numbers that leave.
    watch : bool
        Of an item side: attack its own gradients at the end of a training, and note what they said
        in ``<out>.leaks.json``. Takes 16 bytes a number of every user's vector.
    checkpoint_steps : int
        Steps between two checkpoints, the same for all parties.
    jobs : int
        Processes of the alignment.
    timeout_s, wait_s : float
        Seconds that an answer may take, and that a lost party is waited for.
    """

    role: Role
    keys: Path
    peers: tuple[str, ...]
    addresses: tuple[str, ...]
    out: Path = Path("model")
    alignment: Path = Path("aligned.parquet")
    ids: Path | None = None
    interactions: Path | None = None
    side: Path | None = None
    vectors: Path | None = None
    songs: Path | None = None
    profiles: Path | None = None
    number: int = 0
    model: Literal["two-tower", "mmoe"] = "two-tower"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    defence: Mapping[str, Any] = field(default_factory=dict)
    watch: bool = False
    checkpoint_steps: int = 200
    jobs: int = 1
    timeout_s: float = 60.0
    wait_s: float = 600.0

    def __post_init__(self) -> None:
        if not self.peers or len(self.peers) != len(self.addresses):
            raise InputError("peers and addresses need one entry for each other party")
        if self.role == "music" and len(self.peers) > 1:
            raise InputError("an item side has one peer, the partner, and listens at one address")
        for address in self.addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isdigit() or int(port) > 65_535:
                raise InputError(f"addresses are host:port, got {address!r}")
        for name in ("checkpoint_steps", "jobs"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be 1 or more, got {getattr(self, name)}")
        for name in ("timeout_s", "wait_s"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.number < 64:
            raise InputError(f"number must lie in 0..63, got {self.number}")
        recipe = self.settings()
        sides = len(recipe.item_weights) if isinstance(recipe, MmoeRecipe) else 1
        if self.role == "partner" and len(self.peers) != sides:
            raise InputError(
                f"the model has {sides} item side(s), peers has {len(self.peers)}: item_weights of "
                "an mmoe has a weight for each"
            )
        if self.number >= sides:
            raise InputError(f"number is {self.number}, and the model has {sides} item side(s)")
        self.guard()

    @classmethod
    def read(cls, path: Path, role: str | None = None) -> Self:
        """Read a settings file.

        Raises
        ------
        InputError
            If it is missing or damaged, has an unknown key or a wrong value, or is another
            role's.
        """
        content = dict(read_settings(path, "federated"))
        if role is not None and content.setdefault("role", role) != role:
            raise InputError(f"{path}: is of the role {content['role']!r}, not {role!r}")
        plan = filled(cls, content, f"{path}: [federated]")
        folder = path.parent
        places = {
            name: folder / place for name in READ if (place := getattr(plan, name)) is not None
        }
        places |= {name: folder / getattr(plan, name) for name in ("keys", "out", "alignment")}
        return replace(plan, **places, peers=tuple(str(folder / peer) for peer in plan.peers))

    def settings(self) -> TwoTowerRecipe:
        """Return the recipe."""
        return filled(RECIPES[self.model], self.recipe, "recipe")

    def guard(self) -> Defence:
        """Return what is done to numbers that leave."""
        return filled(Defence, self.defence, "defence")

    def needs(self, name: str) -> Path:
        """Return a file that this party has to name."""
        place: Path | None = getattr(self, name)
        if place is None:
            raise InputError(f"[federated] names no {name}, which the {self.role} side needs")
        return place
