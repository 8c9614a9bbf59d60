"""Audit of a party's plan: what its configuration leaks to known attacks.

::

    both plans, on one machine ──audit_both──▶ every attack, undefended and as configured
    partner's plan ──audit_vectors──▶ what its vectors reveal about its users
    music's plan, ``watch`` ──train──▶ model.leaks.json ──audit_gradients──▶ the recorded leaks
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from audiorec.errors import InputError, MissingFileError, SpecMismatchError, StoreError
from audiorec.files.json_files import parse_json
from audiorec.files.own_files import read_own, replaced, write_errors
from audiorec.listening.profiles import read_profiles
from audiorec.recall.federated.alignment import read_alignment
from audiorec.recall.federated.plan import PartyPlan, music_data
from audiorec.recall.federated.recipe import TwoTowerRecipe
from audiorec.types import LineProgress

MAX_BYTES = 1 << 20
Leaks = list[dict[str, Any]]


def audit_both(
    music: PartyPlan, partner: PartyPlan, *, tell: LineProgress | None = None
) -> dict[str, Any]:
    """Attack a configuration with the data of both sides: a rehearsal before real training.

    Returns
    -------
    found : dict
        ``leaks``, one row per attack.

    Raises
    ------
    InputError
        If the plans are not those of an item side and the partner.
    SpecMismatchError
        If their recipes or alignments differ.
    """
    if (music.role, partner.role) != ("music", "partner"):
        raise InputError("an audit of both sides needs the settings of music and of the partner")
    from audiorec.recall.federated.audit import audit
    from audiorec.recall.federated.sides import ItemSide, UserSide

    recipe, theirs = music.settings(), partner.settings()
    if recipe != theirs:
        raise SpecMismatchError("the recipes of the two sides differ")
    if not isinstance(recipe, TwoTowerRecipe):
        return audit_vectors(partner)  # nothing else crosses
    ours, others = read_alignment(music.alignment), read_alignment(partner.alignment)
    if not set(ours.ids) <= set(others.ids):
        raise SpecMismatchError(
            "the two sides have different alignments; align again: audiorec federated align"
        )
    users = UserSide.of(read_profiles(partner.needs("profiles")), others.user_ids, recipe)
    items = ItemSide.of(music_data(music), ours.user_ids)
    guard = partner.parsed_defence()
    defence = replace(
        music.parsed_defence(), rounding=guard.rounding, vector_noise=guard.vector_noise
    )
    return {"leaks": audit(users, items, recipe, defence, progress=tell).to_json()}


def audit_vectors(plan: PartyPlan) -> dict[str, Any]:
    """Attack the vectors that a partner's trained tower computes for its aligned users."""
    from audiorec.recall.federated.audit import leaks_of_vectors
    from audiorec.recall.federated.serving import defended
    from audiorec.recall.federated.sides import UserSide
    from audiorec.recall.federated.user_model import UserModel

    model = UserModel.load(plan.out)
    people = read_profiles(plan.needs("profiles"))
    ids = [user for user in read_alignment(plan.alignment).user_ids if user]
    users = UserSide.of(people, ids, model.recipe)
    known = people.for_users(ids)
    vectors = model.embed(known)
    table = leaks_of_vectors(vectors, defended(plan, model, known, vectors), users)
    return {"leaks": table.to_json()}


def audit_gradients(plan: PartyPlan) -> dict[str, Any]:
    """Read the leaks that an item side recorded in training."""
    path = leaks_path(plan.out)
    try:
        found = parse_json(read_own(path, MAX_BYTES), max_bytes=MAX_BYTES)
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{path}: no such file; set watch = true and train again, or give the partner's "
            "settings with --other-config"
        ) from error
    except ValueError as error:
        raise StoreError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict) or "leaks" not in found:
        raise StoreError(f"{path}: not a table of leaks; train again with watch = true")
    return {"leaks": found["leaks"]}  # older files hold an epsilon as well, which was not true


def write_leaks(plan: PartyPlan, leaks: Leaks) -> Path:
    """Write the leaks recorded in training, beside the model."""
    path = leaks_path(plan.out)
    with write_errors(path), replaced(path) as temporary:
        temporary.write_text(json.dumps({"leaks": leaks}, indent=2))
    return path


def leaks_path(out: Path) -> Path:
    """Return the path of a model's leaks: ``model`` → ``model.leaks.json``."""
    return out.with_name(f"{out.name}.leaks.json")
