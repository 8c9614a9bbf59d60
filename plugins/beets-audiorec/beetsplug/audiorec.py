"""Fields of how songs sound, from a store of audiorec: for queries and for smart playlists.

    vecs.parquet ──`Sounds`──▶ song of an item ──▶ audiorec_genre, audiorec_jazz, ...

The store is read, and nothing else: no file of music is opened or written.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from optparse import Values
from typing import Any

from beets.dbcore import types
from beets.library import Item, Library
from beets.plugins import BeetsPlugin
from beets.ui import Subcommand, UserError, print_

from audiorec.errors import AudiorecError
from audiorec.library.library import open_store
from audiorec.library.readings import readings
from audiorec.search.questions import Choice
from audiorec.search.searchable import stored_spelling

PREFIX = "audiorec_"
ENVIRONMENT = "AUDIOREC_VECTORS"
PLAIN = (str, int, float, bool)


@contextmanager
def user_errors() -> Iterator[None]:
    """Tell what is wrong with a store in beets' way: damage shows where a column is read."""
    try:
        yield
    except AudiorecError as error:
        raise UserError(f"audiorec: {error}") from error


class Sounds:
    """The songs of a store, found by the files and the tags of items.

    Parameters
    ----------
    path : str
        The store.
    columns : sequence of str
        Further columns that become fields.
    scores : bool
        A field for each class, too.
    """

    def __init__(self, path: str, columns: Sequence[str] = (), *, scores: bool = True) -> None:
        self.library = open_store(path)
        self.columns, self.scores = tuple(columns), scores

    @cached_property
    def _rows(self) -> dict[str, int]:
        uris = self.library.column("uri").to_pylist()
        return {uri: row for row, uri in enumerate(uris)}

    @cached_property
    def _recordings(self) -> dict[str, int | None]:
        """Songs by their recording; None for one that several files are."""
        found: dict[str, int | None] = {}
        for row, mbid in enumerate(self.library.column("musicbrainz_trackid").to_pylist()):
            if mbid:
                name = mbid.lower()
                found[name] = None if name in found else row
        return found

    def row(self, item: Item) -> int | None:
        """Return the song that an item is, by its file, else by its recording; None for none."""
        path = stored_spelling(os.fsdecode(os.path.abspath(os.fsdecode(item.path))))  # noqa: PTH100
        if path in self._rows:
            return self._rows[path]
        return self._recordings.get((item.get("mb_trackid") or "").lower())

    def fields(self, rows: Sequence[int]) -> Iterator[dict[str, Any]]:
        """Yield the fields of songs, by name without the prefix."""
        extra = self.library.table(["song_id", *self.columns]).take(list(rows)).to_pylist()
        for reading, more in zip(readings(self.library, list(rows)), extra, strict=True):
            found: dict[str, Any] = {h: b for h, b in reading.best.items() if b is not None}
            if self.scores:
                for head, scores in reading.scores.items():
                    for label, score in scores.items():
                        name = f"{head}_{label}" if label in reading.scores else label
                        found[name.replace("-", "_")] = round(float(score), 4)
            if reading.voiced is not None:
                found["voiced"] = round(float(reading.voiced), 4)
            found |= {n: more[n] for n in self.columns if isinstance(more[n], PLAIN)}
            yield found


class AudiorecPlugin(BeetsPlugin):
    """``beet audiorec`` and ``beet soundslike``."""

    def __init__(self) -> None:
        super().__init__("audiorec")
        usual = {"store": "", "auto": True, "scores": True, "columns": []}
        self.config.add(usual)
        if self.config["auto"].get(bool):
            self.register_listener("import_task_files", self._imported)

    @property
    def item_types(self) -> Mapping[str, types.Type[Any, Any]]:
        """The type of each field, so that ``audiorec_jazz:0.5..`` compares numbers."""
        names = [*self._classes, "voiced"]
        found: dict[str, Any] = {PREFIX + n: types.FLOAT for n in names}
        found |= {PREFIX + n: kind for n, kind in self._column_types}
        return found

    @cached_property
    def sounds(self) -> Sounds:
        """The store; a `UserError` where there is none."""
        path = self.config["store"].get() or os.environ.get(ENVIRONMENT)
        if not path:
            raise UserError(f"audiorec: no store: set audiorec.store, or ${ENVIRONMENT}")
        with user_errors():
            return Sounds(
                os.path.expanduser(str(path)),  # noqa: PTH111
                self.config["columns"].as_str_seq(),
                scores=self.config["scores"].get(bool),
            )

    def commands(self) -> list[Subcommand]:
        """Return the commands."""
        fill = Subcommand("audiorec", help="fill fields of how songs sound, from a store")
        fill.parser.add_option("-p", "--pretend", action="store_true", help="only say what")
        fill.parser.add_option("--clear", action="store_true", help="remove the fields")
        fill.func = self._fill
        like = Subcommand("soundslike", help="list the songs that sound most like some")
        like.parser.add_option("-n", "--number", type="int", default=10, help="how many")
        like.parser.add_format_option()
        like.func = self._like
        return [fill, like]

    def _fill(self, lib: Library, options: Values, words: list[str]) -> None:
        items = list(lib.items(words))
        if options.clear:
            changed = sum(self._cleared(item) for item in items)
            self._log.info("{} of {} songs had fields", changed, len(items))
            return
        filled = self._filled(items, pretend=bool(options.pretend))
        said = "would be filled" if options.pretend else "filled"
        self._log.info("{} of {} songs {}", filled, len(items), said)

    @user_errors()
    def _filled(self, items: Sequence[Item], *, pretend: bool = False) -> int:
        found = [(item, row) for item in items if (row := self.sounds.row(item)) is not None]
        made = self.sounds.fields([row for _, row in found])
        for (item, _), fields in zip(found, made, strict=True):
            if pretend:
                print_(f"{item}: " + ", ".join(f"{n}={v}" for n, v in sorted(fields.items())))
                continue
            _clear(item)
            for name, value in fields.items():
                item[PREFIX + name] = value
            item.store()
        return len(found)

    def _cleared(self, item: Item) -> bool:
        changed = _clear(item)
        if changed:
            item.store()
        return changed

    @user_errors()
    def _like(self, lib: Library, options: Values, words: list[str]) -> None:
        if not words:
            raise UserError("soundslike: say which songs, by a query")
        seeds = [row for item in lib.items(words) if (row := self.sounds.row(item)) is not None]
        if not seeds:
            raise UserError("soundslike: the store has none of these songs")
        here = {row: item for item in lib.items() if (row := self.sounds.row(item)) is not None}
        for row in self._near(seeds, set(here), options.number):
            print_(format(here[row], options.format or ""))

    def _near(self, seeds: Sequence[int], here: set[int], number: int) -> list[int]:
        """Return the songs of beets' library that are nearest to some, several together."""
        library = self.sounds.library
        ids = [library.ids[row] for row in dict.fromkeys(seeds)]
        strange = [song for row, song in enumerate(library.ids) if row not in here]
        best: dict[int, float] = {}
        choice = Choice(exclude_ids=(*strange, *ids))
        for found in library.similar(ids, number + len(ids), choice=choice):
            for row, similarity in zip(found.rows, found.similarities, strict=True):
                if row >= 0:
                    best[int(row)] = best.get(int(row), 0.0) + float(similarity)
        return sorted(best, key=lambda row: -best[row])[:number]

    def _imported(self, session: Any, task: Any) -> None:  # noqa: ARG002 - beets passes both
        try:
            self._filled(task.imported_items())
        except UserError as error:
            self._log.warning("{}", error)

    @cached_property
    def _classes(self) -> list[str]:
        try:
            with user_errors():
                classes = self.sounds.library.metadata.classes
        except UserError:
            return []
        return [name.partition("/")[2].replace("-", "_") for name in classes]

    @cached_property
    def _column_types(self) -> list[tuple[str, Any]]:
        try:
            with user_errors():
                table = self.sounds.library.table(["song_id", *self.sounds.columns])
        except UserError:
            return []
        kinds = {"float": types.FLOAT, "double": types.FLOAT, "int32": types.INTEGER}
        kinds |= {"int64": types.INTEGER}
        known = [(n, kinds.get(str(table.schema.field(n).type))) for n in self.sounds.columns]
        return [(name, kind) for name, kind in known if kind is not None]


def _clear(item: Item) -> bool:
    """Remove all fields of this plugin from an item; return whether there were any."""
    names = [name for name in item.keys(computed=False) if name.startswith(PREFIX)]
    for name in names:
        del item[name]
    return bool(names)
