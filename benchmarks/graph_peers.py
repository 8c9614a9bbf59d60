"""gensim's Song2vec on the lists that `graph_tables.py` wrote, in a venv of its own.

    python -m venv PEERS && PEERS/bin/pip install gensim
    PEERS/bin/python benchmarks/graph_peers.py DIR SEED [EPOCHS]

Writes DIR/peer-SEED.npz: ids, vectors, contexts, CPU-seconds. One thread, window 50, 20 negatives.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from gensim.models import Word2Vec


def main() -> None:
    """Train on one split."""
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 30
    lists = json.loads((folder / f"lists-{seed}.json").read_text())
    began = time.process_time()
    model = Word2Vec(
        lists,
        vector_size=64,
        sg=1,
        window=50,
        negative=20,
        epochs=epochs,
        min_count=1,
        ns_exponent=0.75,
        shrink_windows=False,
        sample=0,
        workers=1,
        seed=seed,
    )
    cpu = time.process_time() - began
    ids = np.array(model.wv.index_to_key)
    np.savez(folder / f"peer-{seed}.npz", ids=ids, v=model.wv.vectors, u=model.syn1neg, cpu=cpu)
    print(f"gensim: {cpu:.1f} CPU-s")


if __name__ == "__main__":
    main()
