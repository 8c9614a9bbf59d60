"""What a night left to be served: its lists and models, read once and shared by all requests.

DIR of `recall run` ──`ServedNight`──▶ channels, models, lists of each user
any of its tables   ──`UserRows`─────▶ the rows of one user, in memory that threads may share
"""

from functools import cached_property
from pathlib import Path

from audiorec.columns import ShownColumns
from audiorec.errors import AudiorecError, InputError, StoreError
from audiorec.files.own_files import read_object
from audiorec.recall.contract.candidates import SCHEMA
from audiorec.recall.contract.channel import Channel
from audiorec.recall.registry import load_channel
from audiorec.recall.serving.fuse import read_default, settings_in
from audiorec.recall.serving.nightly.current import FUSED, RANKED, file_stem
from audiorec.recall.serving.playlists import LISTS
from audiorec.recall.serving.rules import FusionRecipe
from audiorec.recall.serving.tables import UserRows


class ServedNight:
    """The lists and models of a folder that ``recall run`` wrote; threads may share it.

    Parameters
    ----------
    folder : Path

    Attributes
    ----------
    record : dict
        The record of the run; empty if it cannot be read.
    order : list of str
        The channels in the order of the run's weights; empty if unknown.
    channels : tuple of str
        Those with candidates, in this order.
    lists : dict of str to UserRows
        The candidates of each channel.
    fused, ranked : UserRows or None
        The list of each user, and the playlists that are recommended to each.
    default : DefaultList or None
        For whom no channel has songs.

    Raises
    ------
    InputError
        If the folder holds no lists.
    StoreError
        If one of its files is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        there = {path.stem: path for path in (folder / "candidates").glob("*.parquet")}
        if not there:
            raise InputError(
                f"{folder}: has no candidate lists; to write such a folder: audiorec recall run "
                "--config recall.toml"
            )
        try:
            self.record = read_object(folder / "run.json")
        except (OSError, StoreError, ValueError):
            self.record = {}
        names = self.record.get("order", ())
        self.order = asked = [file_stem(name) for name in names]  # as the files of their candidates
        self.channels = tuple(
            sorted(there, key=lambda n: (asked.index(n) if n in asked else -1, n))
        )
        self.lists = {name: UserRows(there[name], SCHEMA) for name in self.channels}
        self.fused, self.ranked = (
            UserRows(folder / name, schema) if (folder / name).exists() else None
            for name, schema in ((FUSED, SCHEMA), (RANKED, LISTS))
        )
        self.default = read_default(folder)

    @cached_property
    def models(self) -> dict[str, Channel | str]:
        """The model of each channel, or the reason why it cannot be used; read once."""
        result: dict[str, Channel | str] = {}
        for name in self.channels:
            try:
                result[name] = load_channel(self.folder / "models" / name)
            except AudiorecError as error:
                result[name] = str(error)
        return result

    @cached_property
    def recipe(self) -> FusionRecipe:
        """The run's fusion settings; if they are not valid, those of any fusion."""
        try:
            return settings_in(self.record, "fusion")
        except InputError:
            return FusionRecipe()

    @property
    def run_id(self) -> str:
        """The run that made the lists; empty if unknown."""
        return str(self.record.get(ShownColumns.RUN, ""))
