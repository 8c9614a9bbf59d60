"""Turn single bits of a file around, and say what became of each: for tests of damage.

    outcomes(path, kind, bits)  →  {"open": 205, "verify": 3, "same": 92}

Each flipped copy is read as a whole in a child process, which may die. ``open``, ``read`` and
``verify`` are the stages at which damage was found; ``same`` means that all was read and is
what it was. ``OTHER`` (another content, unseen), ``CRASH`` and ``BUG`` (an error that no one
meant) are what a test refuses.

    python tests/flips.py KIND FILE < bits
"""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

BAD = ("OTHER", "CRASH", "BUG")


def flip(path, bit):
    """Turn one bit of a file around."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def some_bits(path, n, seed=0, before=None):
    """Return `n` different bits of a file, or of its first bytes, at random; all if fewer."""
    bits = range(8 * (path.stat().st_size if before is None else before))
    return random.Random(seed).sample(bits, min(n, len(bits)))  # noqa: S311


def outcomes(path, kind, bits):
    """Flip each bit by itself; return what became of it, by bit. The file stays as it was."""
    found, todo = {}, list(bits)
    while todo:
        command = [sys.executable, __file__, kind, str(path)]
        done = subprocess.run(
            command, input="\n".join(map(str, todo)), capture_output=True, text=True
        )
        lines = done.stdout.splitlines()
        found |= {int(bit): what for bit, what in (line.split(" ", 1) for line in lines)}
        if done.returncode == 0:
            break
        assert done.returncode < 0, done.stderr
        found[todo[len(lines)]] = f"CRASH {done.returncode}"
        flip_back(path)
        todo = todo[len(lines) + 1 :]
    return found


def table_of(found):
    """Return how many bits came to what, without the particulars."""
    return dict(Counter(what.split()[0] for what in found.values()))


def flip_back(path):
    """Put the file back as it was before a child died over it."""
    spare = path.with_name(f"{path.name}.whole")
    path.write_bytes(spare.read_bytes())


def read_store(path):
    from audiorec.library.library import Library
    from audiorec.store.verify import verify

    store = Library.open(path)
    yield "open"
    content = [store.ids, store.vectors.tobytes(), store.rows(range(len(store)))]
    content += [store.metadata, store.column("uri").to_pylist()]
    yield "read"
    yield from said(verify(path))
    yield repr(content)


def read_series(path):
    from audiorec.library.library import Library
    from audiorec.store.features import open_series
    from audiorec.store.schema import Kind
    from audiorec.store.verify import verify

    store = Library.open(path.with_name("vecs.parquet"))
    series = open_series(store, path, Kind(path.stem))
    yield "open"
    found = series.read(list(series.rows))
    rows = series.file._file.read().to_pylist()
    yield "read"
    yield from said(verify(store.path))
    yield repr([{name: array.tobytes() for name, array in found.items()}, rows])


def read_embeddings(path):
    from audiorec.store.embeddings import EmbeddingTable
    from audiorec.store.verify import verify

    table = EmbeddingTable.open(path)
    yield "open"
    content = [table.ids, table.embeddings.tobytes(), table.metadata]
    content += [table.columns(table.column_names).to_pylist()]
    yield "read"
    yield from said(verify(path))
    yield repr(content)


def read_plain(path):
    from audiorec.files.tables import TableFile
    from audiorec.store.verify import verify

    TableFile.open(path).close()
    yield "open"
    with TableFile.open(path) as file:
        content = file.read().to_pylist()
    yield "read"
    yield from said(verify(path))
    yield repr(content)


def read_model(path):
    from audiorec.learning.bundle import read_bundle

    bundle = read_bundle(path.parent, kind="users_model")
    tensors = {name: array.tobytes() for name, array in sorted(bundle.tensors.items())}
    yield repr([tensors, sorted(bundle.config.items()), bundle.model_id])


def read_head(path):
    from audiorec.tagger.heads import Head

    head = Head.load(path)
    tensors = {name: array.tobytes() for name, array in sorted(head.tensors().items())}
    yield repr([tensors, head.sha256, head.task, head.classes, head.inputs, dict(head.info)])


READERS = {
    "store": read_store,
    "series": read_series,
    "embeddings": read_embeddings,
    "plain": read_plain,
    "model": read_model,
    "head": read_head,
}


def said(verification):
    """Yield the stage behind a look at every row, or end in what it found."""
    if not verification.is_good:
        raise FoundError
    yield "verify"


class FoundError(Exception):
    """`store verify` names a problem."""


def read(kind, path):
    """Return the stage at which damage was found, or the content that was read."""
    from audiorec.errors import AudiorecError

    stages, content = ["open", "read", "verify"], ""
    passed = 0
    try:
        for content in READERS[kind](path):  # noqa: B007 - the last one counts
            passed += 1
    except FoundError:
        return "verify", None
    except AudiorecError as error:
        return stages[passed] if "\n" not in str(error) else "BUG two lines", None
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        return f"BUG {type(error).__name__} {error}".replace("\n", " "), None
    return "same", content


def main():
    """Read bits from standard input, one a line, and print what became of each."""
    kind, path = sys.argv[1], Path(sys.argv[2])
    whole = path.read_bytes()
    path.with_name(f"{path.name}.whole").write_bytes(whole)
    stage, expected = read(kind, path)
    assert stage == "same", stage
    for line in sys.stdin:
        flip(path, int(line))
        what, content = read(kind, path)
        path.write_bytes(whole)
        print(line.strip(), what if content in (None, expected) else "OTHER", flush=True)


if __name__ == "__main__":
    main()
