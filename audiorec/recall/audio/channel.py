"""The user-audio channel: songs by their sound, in the same space as users.

    who played what ──factors──▶ users (U, E)          or a given ``users.parquet``
    sound of songs  ──tower────▶ songs (S, E)          near the users who play them
    history         ──tastes───▶ one user (E,) ──cosine──▶ all songs, new ones included

A bundle holds no users: a history is embedded as the mean of its songs' tastes, that is, of what
their listeners have in common. A song without other listeners, or one held out of training, is
represented by its sound.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, Unpack

import numpy as np

from audiorec.errors import InputError, SpecMismatchError, WeightsError
from audiorec.learning.bundle import Bundle, Card, Figure
from audiorec.listening.sequences import Sequences
from audiorec.recall.audio.held_out import Split
from audiorec.recall.audio.inputs import EMBEDDING, VECTOR, SongInputs, song_inputs
from audiorec.recall.audio.model import Embedder, TowerSpec, UserAudioRecipe
from audiorec.recall.audio.nearest import sound_of
from audiorec.recall.contract.channel import FitRun, Tensors, nearest_played
from audiorec.recall.contract.data import Queries, RecallData, Sound
from audiorec.recall.contract.space import SharedSpace
from audiorec.recall.contract.warm import Start
from audiorec.spec import FeatureSpec
from audiorec.store.features import SongSegments
from audiorec.types import FloatArray, Int64Array, unit

TOWER = "tower."  # prefix of names in a bundle
EVIDENCE_FROM = 50  # newest songs of a history that are searched for evidence


class UserAudio(SharedSpace):
    """Songs whose sound suits users with this history, new songs included."""

    name = "user-audio"
    goes_on = needs_torch = True
    Recipe = UserAudioRecipe

    def __init__(self, recipe: UserAudioRecipe | None = None) -> None:
        self.recipe = recipe or UserAudioRecipe()

    @property
    def split(self) -> Split:
        """The artists and songs that the model never learns from."""
        return self.recipe.split

    def _fit(self, data: RecallData, *, start: Start | None = None, **run: Unpack[FitRun]) -> None:
        from audiorec.recall.audio.learn import tastes, train_on_listening

        with ExitStack() as stack:
            cache = run["work"] or Path(stack.enter_context(TemporaryDirectory()))
            heard = song_inputs(sound_of(data, self.name), self.recipe, cache)
            if start is not None:
                start.channel.check_maker(heard.made_by)
            result = train_on_listening(data, heard, self.recipe, start=start, **run)
            if result is None:  # stopped: no model to answer with
                self.song_ids = ()
                return
            self.spec = result.tower.spec
            state = result.tower.state_dict()
            self.tower = {name: tensor.numpy() for name, tensor in state.items()}
            self.made_by, self.audio_spec = heard.made_by, dict(heard.audio_spec)
            self.space, self.hears = result.space, _kind_of(self.spec, self.recipe)
            self.songs = self._embed_all(heard, len(data.song_ids))
        self.tastes = tastes(result.kept, result.users, self.songs)
        if start is not None:
            self._keep(start, data)
        self.learnt_from = {**result.counts, "simulated": data.simulated}
        self.figures = dict(result.figures)

    def _keep(self, start: Start, data: RecallData) -> None:
        """Keep the tastes of songs that the data lacks, and the places of those without sound."""
        absent = start.learnt & (data.counts == 0)
        unheard = (start.row >= 0) & ~self.songs.any(axis=1)
        self.tastes = np.where(absent[:, None], start.rows(start.channel.tastes), self.tastes)
        self.songs = np.where(unheard[:, None], start.rows(start.channel.songs), self.songs)

    def embed(self, songs: SongSegments) -> FloatArray:
        """Return the embeddings of any songs, (n, E) float32 of length 1, from their segments.

        Segments are rows of features, or log-mels (T, M) for a model that was trained end to end,
        which needs torch.
        """
        return self.embedder()(songs)

    def embedder(self, device: str = "cpu") -> Callable[[SongSegments], FloatArray]:
        """Return `embed` for repeated calls; an end-to-end model runs on `device`."""
        if not self.recipe.end_to_end:
            return Embedder(self.spec, self.tower).embed
        from audiorec.learning.machine import import_torch

        import_torch("hearing songs end to end")
        from audiorec.recall.audio.trainer import embed_songs, load_tower

        network = load_tower(self.spec, self.tower).to(device)
        return lambda songs: embed_songs(network, songs, device=device)

    def embed_users(self, queries: Queries) -> FloatArray:
        """Embed each history as the mean of its songs' tastes; see `SharedSpace`."""
        histories = queries.histories.among(self.song_ids)
        owner, song, _ = histories.distinct()
        sums = np.zeros((len(histories), self.tastes.shape[1]))
        np.add.at(sums, owner, self.tastes[song].astype(np.float64))
        return unit(sums)

    def song_embeddings(self) -> FloatArray:
        """Return the embeddings of the catalogue; see `SharedSpace`."""
        return self.songs

    def embed_sound(self, sound: Sound) -> FloatArray:
        """Embed any songs; see `SharedSpace`. Their sound must have the same maker.

        For an end-to-end model, `sound` is that of a store, whose files are decoded; songs that
        cannot be read get zeros.
        """
        with TemporaryDirectory() as cache:
            stored = self.hears == "vectors"
            recipe = replace(self.recipe, inputs=self.spec.inputs) if stored else self.recipe
            heard = song_inputs(sound, recipe, Path(cache))
            self.check_maker(heard.made_by)
            return self._embed_all(heard, len(sound.song_ids))

    def check_maker(self, made_by: str) -> None:
        """Raise `SpecMismatchError` if sound was made by another extractor than in training."""
        if self.made_by and made_by and made_by != self.made_by:
            raise SpecMismatchError(
                f"{self.name}: trained on {_in_words(self.made_by)}, got {_in_words(made_by)}: "
                f"extract the songs the same way, or {self.retrain_command}"
            )

    @property
    def retrain_command(self) -> str:
        """The command that trains the model again, for messages."""
        return f"train the model again (audiorec recall train {self.name} --interactions LOG ...)"

    def _embed_all(self, heard: SongInputs, n_songs: int) -> FloatArray:
        result = np.zeros((n_songs, self.spec.embedding), np.float32)
        embed = self.embedder(self.recipe.device)
        for rows, songs in heard.blocks(self.recipe.max_segments):
            if not self.recipe.end_to_end:
                self.refuse_sound(self.spec.width, songs.values.shape[1])
            result[rows] = embed(songs)
        return result

    def _evidence(self, histories: Sequences, song: Int64Array) -> Int64Array:
        """Return the recent song of the history whose embedding is nearest to each candidate."""
        histories = histories.newest(EVIDENCE_FROM)
        known = np.asarray(self.songs.any(axis=1))
        return nearest_played(histories.keep(known[histories.song]), song, self.songs)

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        tensors = {f"{TOWER}{name}": array for name, array in self.tower.items()}
        config = {
            "recipe": self.recipe.to_dict(),
            "tower": {**asdict(self.spec), "inputs": list(self.spec.inputs)},
            "made_by": self.made_by,
            "audio_spec": dict(self.audio_spec),
            "space": self.space,
            "learnt_from": self.learnt_from,
            "figures": self.figures,
        }
        return {**tensors, "songs": self.songs, "tastes": self.tastes}, config

    @classmethod
    def _from_state(cls, bundle: Bundle) -> Self:
        config, tensors = bundle.config, bundle.tensors
        try:
            channel = cls(UserAudioRecipe.from_dict(config["recipe"]))
            channel.spec = TowerSpec.from_dict(config["tower"])
            channel.made_by, channel.space = (str(config[name]) for name in ("made_by", "space"))
            channel.audio_spec = dict(config["audio_spec"])
            if channel.audio_spec:
                FeatureSpec.from_dict(channel.audio_spec)
            channel.learnt_from, channel.figures = config["learnt_from"], config["figures"]
            channel.songs, channel.tastes = tensors["songs"], tensors["tastes"]
            shapes = {channel.songs.shape, channel.tastes.shape}
            if len(shapes) > 1 or channel.songs.shape[1:] != (channel.spec.embedding,):
                raise InputError(f"songs and tastes have the shapes {sorted(shapes)}")
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise WeightsError(
                f"not a valid model of user-audio: {error!r}; train it again: "
                "audiorec recall train user-audio -i LOG -v FEATURES --out MODEL"
            ) from error
        channel.hears = _kind_of(channel.spec, channel.recipe)
        channel.tower = {
            name.removeprefix(TOWER): a for name, a in tensors.items() if name.startswith(TOWER)
        }
        if not channel.recipe.end_to_end:
            Embedder(channel.spec, channel.tower)
        return channel

    def _card(self) -> str:
        """Return the model card, with the figures that chose the number of epochs."""
        figures, counts = self.figures, self.learnt_from
        recipe, spec = self.recipe, self.spec
        made_by = _in_words(self.made_by) or "any audio"
        shown: tuple[Figure, ...] = ()
        if figures["auc"] is not None:
            shown = (
                Figure("AUC by user", figures["auc"]),
                Figure("AUC by user of the closed-form start", figures["auc_at_start"]),
            )
        made_up = "Simulated listening: do not use for real users." if counts["simulated"] else ""
        return Card(
            title="user-audio",
            about=(
                f"Embeds any song by its sound: {spec.embedding} numbers of length 1, in "
                f"{f'the space of the users of {self.space}' if self.space else 'its own space'}."
            ),
            caution=made_up,
            people=self.people,
            learnt_from={
                **{name.replace("_", " "): n for name, n in counts.items() if name != "simulated"},
                "epochs": figures["best_epoch"],
                "seed": recipe.seed,
                **({} if self.parent is None else self.parent.facts()),
            },
            figures=shown,
            judged_on=("" if self.parent is None else "the last full training: ")
            + (
                f"{figures['users']:,} users and {figures['songs']:,} songs of artists that were "
                "held out to choose the number of epochs, so the figure is slightly optimistic; "
                "the model was then trained on them too. Also held out: "
                f"{recipe.test:.0%} of the artists, {recipe.new_songs:.0%} of the others' songs"
            ),
            sections={
                "Form": (
                    f"- reads {', '.join(spec.inputs)} of {made_by}\n"
                    f"- linear map plus {spec.hidden} hidden units, {spec.pooling} over segments\n"
                    f"- {recipe.loss}, {recipe.negatives} negatives per liked song"
                ),
                "Limits": (
                    "- Reflects the users it was trained on, and the music they heard.\n"
                    "- Songs that many users like are near many users: popular styles win.\n"
                    "- Embeddings compare only within one space, and never with song vectors.\n"
                    "- Evaluate it on artists that it never heard: "
                    "`audiorec recall evaluate --split artists`."
                ),
            },
        ).markdown()


def _kind_of(spec: TowerSpec, recipe: UserAudioRecipe) -> Any:
    """Return the kind of sound that a tower reads, as `SharedSpace.hears`."""
    if recipe.end_to_end:
        return "audio"
    return "vectors" if spec.inputs in (EMBEDDING, VECTOR) else "features"


def _in_words(made_by: str) -> str:
    return f"vectors of {made_by}" if made_by.startswith("extractor ") else made_by
