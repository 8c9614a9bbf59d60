"""``audiorec store``: describe, verify, merge and export stores."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from audiorec.errors import InputError, StoreError
from audiorec_cli.info import info_lines
from audiorec_cli.shared.console import (
    Exit,
    counted,
    file_size,
    out,
    out_lines,
    print_json,
    print_table,
    say,
)
from audiorec_cli.shared.options import JsonOption, OutFileOption, SeedOption
from audiorec_cli.shared.pages import command, group
from audiorec_cli.shared.places import parts_here
from audiorec_cli.shared.stores import FilesBeside, StoreArgument, open_vectors, vectors_path

if TYPE_CHECKING:
    from audiorec.store.schema import Kind
    from audiorec.store.verify import Verification

app = group(
    """Describe, verify, merge and export stores.

    Examples
    --------
    audiorec store verify
    audiorec store merge old.parquet new.parquet --out all.parquet
    audiorec store export --out vecs.npz
    """
)

OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace existing files that are not inputs.")
]
ColumnsOption = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="In addition to song_id: vector,title,artist."),
]


@command(app)
def info(store: StoreArgument = None, json: JsonOption = False, *, beside: FilesBeside) -> None:
    """Describe a store: rows, extractor, statuses, formats, sizes, the files beside it.

    Only the footer and small columns are read, not the vectors.

    Examples
    --------
    audiorec store info
    audiorec store info vecs.parquet --json
    audiorec store info vecs.parquet --features features.parquet
    """
    from audiorec.store.inventory import inventory

    found = inventory(vectors_path(store), beside.by_kind())
    if json:
        print_json({"schema": "audiorec/store-info/1", **found})
        return
    for name, value in found.items():
        for line in info_lines(name, value):
            out(line)


@command(app)
def verify(
    store: StoreArgument = None,
    files: Annotated[
        bool, typer.Option("--files", help="Also check that every song's file is unchanged.")
    ] = False,
    max_problems: Annotated[
        int, typer.Option(min=0, help="Problems to list; all are counted.")
    ] = 1_000,
    json: JsonOption = False,
    *,
    beside: FilesBeside,
) -> None:
    """Verify every row of a store and of the files beside it.

    Exits with 0 if all is well, 3 if there are problems, 4 if the store cannot be read.

    Examples
    --------
    audiorec store verify
    audiorec store verify vecs.parquet --files
    audiorec store verify vecs.parquet --max-problems 10 --json
    """
    from audiorec.store.verify import verify as verify_store

    path = vectors_path(store)
    found = verify_store(path, beside=beside.by_kind(), files=files, max_problems=max_problems)
    if json:
        print_json(_verification(path, found))
    elif found.problems:
        rows = [(p.file, p.row, p.song_id, p.check, p.reason) for p in found.problems]
        columns = ("file", "row", "song_id", "check", "reason")
        print_table(columns, rows, title=f"problems of {path}")
    _print_verification(found)
    raise typer.Exit(Exit.OK if found.is_good else Exit.SOME_FAILED)


@command(app)
def compact(
    parts: Annotated[
        list[str],
        typer.Argument(
            metavar="PART", help="A folder or URI of parts (audiorec shards), or audiorec files."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="STORE", help="Store to write; for one file, itself."),
    ] = None,
    on_duplicate: Annotated[
        Literal["error", "same", "newest", "first"],
        typer.Option(
            help="If rows of one id differ: fail, take the newest if the audio is the same, take "
            "the newest, or take the first."
        ),
    ] = "error",
    incomplete: Annotated[
        bool, typer.Option("--partial", help="Accept a folder with missing shards.")
    ] = False,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Combine many parts into one sorted store, each song once.

    The result does not depend on the order or the division of the parts. Scores, features and
    errors among them go beside the store; their rows without a song in it are dropped.

    Examples
    --------
    audiorec store compact parts/ --out vecs.parquet
    audiorec store compact vecs.parquet
    audiorec store compact a.parquet b.parquet --out all.parquet
    """
    from audiorec.extraction.shards import local_parts

    folder, files, output = parts_here(parts, output)
    if folder is not None:
        with local_parts(folder, whole=not incomplete) as found:
            rows = _combine(found, output, on_duplicate, overwrite)
    else:
        rows = _combine(_by_kind(files), output, on_duplicate, overwrite)
    _print_rows(rows, "audiorec/store-compact/1", json)


@command(app)
def merge(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE", help="Two or more stores.")],
    output: OutFileOption,
    on_duplicate: Annotated[
        Literal["error", "first"],
        typer.Option(help="If songs of one id differ: fail, or take the first store's."),
    ] = "error",
    beside: Annotated[
        bool, typer.Option("--beside", help="Merge scores, features and errors as well.")
    ] = False,
    overwrite: OverwriteOption = False,
    json: JsonOption = False,
) -> None:
    """Merge stores that were made by the same extractor.

    Examples
    --------
    audiorec store merge old.parquet new.parquet --out all.parquet
    audiorec store merge a.parquet b.parquet -o all.parquet --on-duplicate first
    audiorec store merge a/vecs.parquet b/vecs.parquet -o c/vecs.parquet --beside
    """
    from audiorec.store.compact import merge_stores
    from audiorec.store.inventory import default_path, files_beside
    from audiorec.store.schema import Kind

    others: dict[Kind, tuple[Sequence[Path], Path]] = {}
    for kind in (Kind.SCORES, Kind.FEATURES, Kind.ERRORS) if beside else ():
        found = [path for store in stores if (path := files_beside(store).get(kind)) is not None]
        if found:
            others[kind] = (found, default_path(output, kind))
    inputs = [*stores, *(path for paths, _ in others.values() for path in paths)]
    _check_free([output, *(target for _, target in others.values())], inputs, overwrite)
    rows = merge_stores(stores, output, on_duplicate=on_duplicate, beside=others)
    targets = {kind.value: target for kind, (_, target) in others.items()} | {"vectors": output}
    counts = {kind.value: count for kind, count in rows.items()}
    _print_rows({str(targets[k]): n for k, n in counts.items()}, "audiorec/store-merge/1", json)


@command(app)
def export(
    output: OutFileOption,
    store: StoreArgument = None,
    form: Annotated[
        Literal["npz", "npy", "csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="By default the extension of --out."),
    ] = None,
    columns: ColumnsOption = None,
    wide: Annotated[
        bool, typer.Option("--wide", help="One column per number in a parquet.")
    ] = False,
    guard_formulas: Annotated[
        bool,
        typer.Option("--guard-formulas", help="Put ' before csv texts that begin like =1+1."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Export a store to another format.

    Examples
    --------
    audiorec store export --out vecs.npz
    audiorec store export --out songs.csv --columns title,artist --guard-formulas
    audiorec store export vecs.parquet --out wide.parquet --wide --json
    """
    from audiorec.store.export import export as export_store

    path = vectors_path(store)
    written = export_store(
        path,
        output,
        form,
        columns=_names(columns),
        wide=wide,
        guard_formulas=guard_formulas,
        on_formulas=partial(_say_formulas, guarded=guard_formulas),
    )
    _print_written(path, written, json)


@command(app, "map")
def draw_map(
    output: OutFileOption,
    store: StoreArgument = None,
    projection: Annotated[
        Literal["pca", "tsne", "umap"], typer.Option(help="Projection method.")
    ] = "pca",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Write a map for embedding-atlas: a position, a name and classes for each song.

    Examples
    --------
    audiorec store map --out atlas.parquet
    audiorec store map vecs.parquet --out atlas.parquet --projection tsne
    audiorec store map --out atlas.parquet --projection umap --seed 1
    """
    from audiorec.search.atlas import write_atlas

    opened = open_vectors(store)
    write_atlas(opened, output, projection=projection, seed=seed)
    say(f"open it: embedding-atlas {output} --x x --y y --text title")
    _print_written(opened.path, [output], json)


@command(app)
def sql(
    dialect: Annotated[Literal["clickhouse", "hive", "duckdb"], typer.Option(help="SQL dialect.")],
    store: StoreArgument = None,
    table: Annotated[str, typer.Option(help="Name of the table.")] = "songs",
    source: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Where the database finds the Parquet file.")
    ] = None,
    columns: ColumnsOption = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write [default: stdout].")
    ] = None,
) -> None:
    """Print the SQL that creates a table for a store and loads it.

    Examples
    --------
    audiorec store sql --dialect duckdb
    audiorec store sql --dialect clickhouse --table songs --out songs.sql
    audiorec store sql vecs.parquet --dialect hive --columns vector,title
    """
    from audiorec.files.own_files import replaced
    from audiorec.store.export import ddl

    path = vectors_path(store)
    text = ddl(path, dialect, table=table, source=source, columns=_names(columns))
    if output is None:
        out_lines(text.rstrip("\n"))
        return
    if output.resolve() == path.resolve() or output.is_dir() or not output.parent.is_dir():
        raise InputError(f"{output}: cannot be written; name another file in an existing folder")
    with replaced(output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(f"written: {output}")


@command(app)
def aliases(
    store: StoreArgument = None,
    add: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="A table with song_id; its other columns except path are aliases."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the table to this Parquet file.")
    ] = None,
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

    opened = open_vectors(store)
    if add is not None:
        _add_aliases(add, opened.path.with_name(ALIASES_FILE), set(opened.ids))
    found = alias_table(opened)
    if output is not None:
        if output.resolve() == opened.path.resolve() or not output.parent.is_dir():
            raise InputError(f"{output}: cannot be written; name a file in an existing folder")
        write_aliases(output, found)
        say(f"{len(found)} aliases of {counted(len(opened), 'song')}: {output}")
    if json:
        print_json({"schema": "audiorec/store-aliases/1", "aliases": found.to_pylist()})
    elif output is None and add is None:
        rows = [tuple(row.values()) for row in found.to_pylist()]
        print_table(tuple(found.column_names), rows, title=f"aliases of {opened.path}")


def _verification(path: Path, found: "Verification") -> dict[str, Any]:
    return {
        "schema": "audiorec/store-verify/1",
        "vectors": str(path),
        "good": found.is_good,
        "rows": found.rows,
        "counts": dict(found.counts),
        "not_looked_at": found.not_looked_at,
        "notes": found.notes,
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
    for note in found.notes:
        say(note)


def _by_kind(parts: Sequence[str]) -> "dict[Kind, list[Path]]":
    """Group files by the kind that they declare."""
    from audiorec.store.inventory import kind_of

    found: dict[Kind, list[Path]] = {}
    for path in map(Path, parts):
        kind = kind_of(path)
        if kind is None:
            raise StoreError(f"{path}: is not a file of vectors, scores, features or errors")
        found.setdefault(kind, []).append(path)
    return found


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


def _print_rows(rows: Mapping[str, int], schema: str, json: bool) -> None:
    if json:
        print_json({"schema": schema, "rows": dict(rows)})
    for path, count in rows.items():
        say(f"{counted(count, 'row')}: {path}")


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
