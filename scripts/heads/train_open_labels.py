"""Learn the head for genre of whole songs from free audio alone; the same data, the same bytes.

    python scripts/heads/train_open_labels.py --data DIR --extra DIR --cache DIR \
        --out DIR [--test]

Options as of `train_song_labels.py`. `--out` gets ``song_labels_open.safetensors`` and
``song_labels_open.json``, the figures in the model card. Pieces are judged with their maker left
out; nothing of GTZAN is learnt from or chosen by, so all of it judges.
"""

import json

import numpy as np
from head_features import Extractor
from head_genre import GENRES
from head_gtzan import load_taggrams
from head_open import fit_open, free_songs, learn_open
from head_song_figures import NEVER, limit_of, shares
from head_songs import STYLES, head_of, makers_left_out, of_taggrams, temperature_of
from threadpoolctl import threadpool_limits
from train_song_labels import Figures, arguments, outside_curves, read

from audiorec.tagger.heads import softmax


def main() -> None:
    """Read, learn, judge, save."""
    args = arguments(__doc__)
    every = read(Extractor(args.cache), args.data, args.extra)
    free = free_songs(every)
    with threadpool_limits(1):  # sums in one order
        outside = makers_left_out(free, learn_open)
        temperature = temperature_of([outside])
        curves = outside_curves(outside, temperature)
        limit = limit_of(curves["without drum loops"])
        logits = learn_open(free.all)
        sets = {"gtzan": every.half, "gtzan_actcv": every.short, "taggrams": every.listed}
        if args.test:
            sets["GTZAN test, by tags"] = of_taggrams(load_taggrams(args.data, "test", phases=1))
        of_gtzan: Figures = {}
        for name, rows in sets.items():
            ten = rows.rows(rows.genre < len(GENRES))
            found = shares(softmax(logits(ten) / temperature), ten.genre, limit)
            of_gtzan[name] = [{"limit": limit, **found}]
        head = head_of(fit_open(free.all), temperature, limit, [NEVER] * len(STYLES))
    counts = np.unique(free.outside.genre, return_counts=True)
    figures: Figures = {
        "temperature": temperature,
        "limit": limit,
        "pieces": {GENRES[genre]: int(n) for genre, n in zip(*counts, strict=True)},
        "outside": curves,
        "inside": of_gtzan,
        "sha256": head.save(args.out / "song_labels_open.safetensors"),
    }
    (args.out / "song_labels_open.json").write_text(json.dumps(figures, sort_keys=True) + "\n")
    print(json.dumps({name: figures[name] for name in ("sha256", "temperature", "limit")}))


if __name__ == "__main__":
    main()
