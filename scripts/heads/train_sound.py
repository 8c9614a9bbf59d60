"""Learn the projection of sound that audiorec ships; the same data gives the same bytes.

    PYTHONPATH=benchmarks/sound python scripts/heads/train_sound.py MUSIC DATA \
        --cache CACHE --out FILE

MUSIC is a folder of unpacked packages (`unpack_packages.sh`), DATA the labelled corpora; nothing of
GTZAN is read. CACHE keeps what the network says of each piece: the first call takes an hour of CPU
time, a second one seconds. Prints one JSON line: what was learnt from, and the file's SHA-256,
which `audiorec.tagger.vectors` has to state. `benchmarks/sound/eval_sound.py` judges the recipe.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from sound_data import judged_pieces, once, other_pieces, read_rows, short_pieces
from sound_learning import learn
from threadpoolctl import threadpool_limits


def main() -> None:
    """Read, learn, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("music", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    pieces = [*judged_pieces(args.music), *other_pieces(args.music, args.data)]
    rows = read_rows(pieces, "as it is", args.cache)
    changed = read_rows(once(pieces), "at random", args.cache)
    short = read_rows(short_pieces(args.data), "as it is", args.cache)
    with threadpool_limits(1):  # sums in one order
        learnt = learn(rows, [changed], short)
    line = {
        "parts": len(rows),
        "changed": len(changed),
        "short": len(short),
        "pieces": len(np.unique(rows.piece)),
        "corpora": len(np.unique(rows.corpus)),
        "sha256": learnt.save(args.out),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
