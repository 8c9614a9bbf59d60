"""``audiorec store``: verify, merge and export stores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import click

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.files.storage import is_folder, is_uri
from audiorec.options import argument, chooses, reads, writes
from audiorec_cli.shared.console import (
    Exit,
    counted,
    file_size,
    print_json,
    print_table,
    say,
)
from audiorec_cli.shared.inputs import StoreArgument, VectorsOption, open_vectors, vectors_path
from audiorec_cli.shared.options import ADVANCED, JsonOption, out_file
from audiorec_cli.shared.pages import command, group

if TYPE_CHECKING:
    from audiorec.store.schema import Kind
    from audiorec.store.verify import Verification

app = group(
    """Verify, merge and export stores.

    Examples
    --------
    audiorec store verify
    audiorec store merge old.parquet new.parquet --out all.parquet
    audiorec store export --out vecs.npz
    """
)

Format = Literal["npz", "csv", "jsonl", "parquet", "atlas"]


@command(app)
def verify(
    store: StoreArgument = None,
    vectors: VectorsOption = None,
    files: Annotated[
        bool, reads("--files", help="Also check that every song's file is unchanged.")
    ] = False,
    beside: Annotated[
        list[Path] | None,
        writes(metavar="FILE", help="Scores, features or errors that lie elsewhere."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Verify every row of a store and of the files beside it.

    Exits with 0 if all is well, 3 if there are problems, 4 if the store cannot be read.

    Examples
    --------
    audiorec store verify
    audiorec store verify vecs.parquet --files
    audiorec store verify vecs.parquet --json
    """
    from audiorec.store.verify import verify as verify_store

    path = vectors_path(store or vectors)
    elsewhere = _elsewhere(beside or ())
    result = verify_store(path, beside=elsewhere, files=files)
    if json:
        print_json(_verification(path, result))
    elif result.problems:
        rows = [(p.file, p.row, p.song_id, p.check, p.reason) for p in result.problems]
        columns = ("file", "row", "song_id", "check", "reason")
        print_table(columns, rows, title=f"problems of {path}")
    _print_verification(result)
    raise click.exceptions.Exit(Exit.OK if result.is_good else Exit.SOME_FAILED)


@command(app)
def merge(
    parts: Annotated[
        list[str],
        argument(metavar="PART", help="Stores and files beside them, or a folder or URI of parts."),
    ],
    output: Annotated[
        Path | None, out_file(metavar="STORE", help="Store to write; for one file, itself.")
    ] = None,
    on_duplicate: Annotated[
        Literal["error", "same", "newest", "first"],
        chooses(
            help="If rows of one id differ: fail, take the newest if the audio is the same, take "
            "the newest, or take the first."
        ),
    ] = "same",
    beside: Annotated[
        bool, writes("--beside", help="Also merge scores, features and errors beside stores.")
    ] = False,
    incomplete: Annotated[
        bool, chooses("--partial", help="Accept a folder with missing shards.")
    ] = False,
    overwrite: Annotated[
        bool, chooses("--overwrite", help="Replace existing files that are not inputs.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Combine stores, or the parts of many machines, into one sorted store, each song once.

    All must be made by the same extractor. The result does not depend on the order or the division
    of the parts. Scores, features and errors among them go beside the store; their rows without a
    song in it are dropped.

    Examples
    --------
    audiorec store merge old.parquet new.parquet --out all.parquet
    audiorec store merge parts/ --out vecs.parquet
    audiorec store merge a/vecs.parquet b/vecs.parquet -o c/vecs.parquet --beside
    """
    from audiorec.extraction.shards import local_parts

    folder, stores, output = _parts(parts, output)
    if folder is not None:
        with local_parts(folder, whole=not incomplete) as result:
            rows = _combine(result, output, on_duplicate, overwrite)
    else:
        rows = _combine(_by_kind(stores, beside=beside), output, on_duplicate, overwrite)
    if json:
        print_json({"schema": "audiorec/store-merge/1", "rows": dict(rows)})
    for path, count in rows.items():
        say(f"{counted(count, 'row')}: {path}")


def _parts(parts: list[str], output: Path | None) -> tuple[str | None, list[str], Path | None]:
    """Return the folder of parts if one is given, else the files; and the store to write.

    Remote files are copied. A single local file is rewritten in place if there is no `output`.
    """
    if len(parts) == 1 and is_folder(parts[0]):
        return parts[0], [], output
    if output is None and len(parts) == 1:
        if is_uri(parts[0]):
            raise InputError(f"{parts[0]}: name the store to write with --out")
        output = Path(parts[0])
    from audiorec.files.copies import with_local

    return None, [str(with_local(part)) for part in parts], output


@command(app)
def export(
    output: Annotated[Path, out_file(metavar="FILE", help="The file to write.")],
    store: StoreArgument = None,
    vectors: VectorsOption = None,
    form: Annotated[
        Format | None, chooses("--format", help="By default the extension of --out.")
    ] = None,
    columns: Annotated[
        str | None,
        chooses(metavar="NAMES", help="In addition to song_id: vector,title,artist."),
    ] = None,
    wide: Annotated[bool, chooses("--wide", help="One column per number in a parquet.")] = False,
    guard_formulas: Annotated[
        bool,
        chooses("--guard-formulas", help="Put ' before csv texts that begin like =1+1."),
    ] = False,
    projection: Annotated[
        Literal["pca", "tsne", "umap"],
        chooses(help="atlas: projection of the map.", panel=ADVANCED),
    ] = "pca",
    json: JsonOption = False,
) -> None:
    """Export a store to another format, or as a map.

    atlas is a map for embedding-atlas: a position, a name and classes for each song. Databases read
    the store itself: in DuckDB, SELECT * FROM 'vecs.parquet'.

    Examples
    --------
    audiorec store export --out vecs.npz
    audiorec store export --out songs.csv --columns title,artist --guard-formulas
    audiorec store export --format atlas --out atlas.parquet
    """
    from audiorec.search.atlas import write_atlas

    if form == "atlas":
        opened = open_vectors(store or vectors)
        write_atlas(opened, output, projection=projection)
        say(f"open it: embedding-atlas {output} --x x --y y --text title")
        _print_written(opened.path, [output], json)
        return
    from audiorec.store.export import export as export_store

    path = vectors_path(store or vectors)
    written = export_store(
        path,
        output,
        cast("Any", form),
        columns=_names(columns),
        wide=wide,
        guard_formulas=guard_formulas,
        on_formulas=partial(_say_formulas, guarded=guard_formulas),
    )
    _print_written(path, written, json)


@command(app, here="changes a local store")
def aliases(
    store: StoreArgument = None,
    vectors: VectorsOption = None,
    add: Annotated[
        Path | None,
        writes(
            metavar="CSV", help="A table with song_id; its other columns except path are aliases."
        ),
    ] = None,
    output: Annotated[Path | None, out_file(help="Write the table to this Parquet file.")] = None,
    json: JsonOption = False,
) -> None:
    """List the other names of songs: MusicBrainz id, ISRC, path, file name, your own.

    Every command that takes a song accepts any of them.

    Examples
    --------
    audiorec store aliases
    audiorec store aliases --add ids.csv
    audiorec store aliases vecs.parquet --out aliases-of-all.parquet
    """
    from audiorec.store.aliases import ALIASES_FILE, alias_table, write_aliases

    opened = open_vectors(store or vectors)
    if add is not None:
        _add_aliases(add, opened.path.with_name(ALIASES_FILE), set(opened.ids))
    table = alias_table(opened)
    if output is not None:
        if output.resolve() == opened.path.resolve() or not output.parent.is_dir():
            raise InputError(f"{output}: cannot be written; name a file in an existing folder")
        write_aliases(output, table)
        say(f"{len(table)} aliases of {counted(len(opened), 'song')}: {output}")
    if json:
        print_json({"schema": "audiorec/store-aliases/1", "aliases": table.to_pylist()})
    elif output is None and add is None:
        rows = [tuple(row.values()) for row in table.to_pylist()]
        print_table(tuple(table.column_names), rows, title=f"aliases of {opened.path}")


def _verification(path: Path, found: "Verification") -> dict[str, Any]:
    return {
        "schema": "audiorec/store-verify/1",
        "vectors": str(path),
        "good": found.is_good,
        "rows": found.rows,
        "counts": dict(found.counts),
        "not_looked_at": found.not_looked_at,
        "problems": [asdict(problem) for problem in found.problems],
    }


def _print_verification(found: "Verification") -> None:
    rows = ", ".join(f"{counted(count, 'row')} of {file}" for file, count in found.rows.items())
    counts = ", ".join(f"{count} {check}" for check, count in found.counts.most_common())
    total = found.counts.total()
    say(f"good: {rows}" if found.is_good else f"{counted(total, 'problem')} in {rows}: {counts}")
    if total > len(found.problems):
        say(f"only the first {len(found.problems)} are listed")
    if found.not_looked_at:
        why = "they are not on this machine's disks, or in a folder that cannot be read"
        say(f"not checked: {counted(found.not_looked_at, 'song')}: {why}")


def _elsewhere(files: Sequence[Path]) -> "dict[Kind, Path | None]":
    for path in files:
        if not path.exists():
            raise MissingFileError(f"{path}: no such file")
    named = _by_kind([str(path) for path in files], beside=False)
    return {kind: paths[-1] for kind, paths in named.items()}


def _by_kind(parts: Sequence[str], *, beside: bool) -> "dict[Kind, list[Path]]":
    """Group files by the kind that they declare; with `beside`, also those beside stores."""
    from audiorec.store.inventory import files_beside, kind_of
    from audiorec.store.schema import Kind

    result: dict[Kind, list[Path]] = {}
    others = [path for part in parts if beside for path in files_beside(Path(part)).values()]
    for path in dict.fromkeys([*map(Path, parts), *others]):
        kind = kind_of(path)
        if kind is None:
            raise StoreError(f"{path}: is not a file of vectors, scores, features or errors")
        result.setdefault(kind, []).append(path)
    return result


def _combine(
    parts: "Mapping[Kind, Sequence[Path]]",
    output: Path | None,
    on_duplicate: Literal["error", "same", "newest", "first"],
    overwrite: bool,
) -> dict[str, int]:
    """Combine parts into `output` and files beside it; return rows by path."""
    from audiorec.store.compact import combine
    from audiorec.store.inventory import default_path
    from audiorec.store.schema import Kind

    if output is None:
        raise InputError("give --out: the store to write")
    alone = len(parts) == 1
    targets = {
        kind: output if alone or kind == Kind.VECTORS else default_path(output, kind)
        for kind in parts
    }
    _check_free(list(targets.values()), [p for paths in parts.values() for p in paths], overwrite)
    rows = combine(parts, targets, on_duplicate=on_duplicate)
    # Without failures no errors file is written.
    return {str(targets[kind]): count for kind, count in rows.items() if targets[kind].exists()}


def _check_free(targets: Sequence[Path], inputs: Sequence[Path], overwrite: bool) -> None:
    """Refuse to replace files that are not inputs of this command."""
    known = {path.resolve() for path in inputs}
    for target in targets:
        if target.exists() and target.resolve() not in known and not overwrite:
            raise InputError(f"{target}: exists; replace it with --overwrite")


def _say_formulas(count: int, *, guarded: bool) -> None:
    done = "an apostrophe was put before them"
    todo = "a spreadsheet would run them; --guard-formulas puts an apostrophe before them"
    say(f"note: {count} texts begin like a formula; {done if guarded else todo}")


def _names(columns: str | None) -> list[str] | None:
    return [name.strip() for name in columns.split(",")] if columns else None


def _print_written(path: Path, written: Sequence[Path], json: bool) -> None:
    if json:
        sizes = {str(p): p.stat().st_size for p in written}
        print_json({"schema": "audiorec/store-export/1", "vectors": str(path), "written": sizes})
    for file in written:
        say(f"written: {file} ({file_size(file.stat().st_size)})")


def _add_aliases(table: Path, target: Path, known: set[str]) -> None:
    from audiorec.extraction.catalogue import read_id_table, row_aliases
    from audiorec.store.aliases import add_own_aliases

    rows = [row for _, row in read_id_table(table, needed=("song_id",))]
    strangers = sorted({row["song_id"] for row in rows} - known)
    added = add_own_aliases(target, (pair for row in rows for pair in row_aliases(row)))
    say(f"{added} aliases in {target}")
    if strangers:
        say(f"note: {len(strangers)} of these songs are not in the store, such as {strangers[0]!r}")
