"""A store in whose songs something is heard: each id names the label."""

from functools import cache

import numpy as np
from good_store import write_good_store
from made_sound import add_lists
from scipy.optimize import minimize

from audiorec.store.store import VectorStore
from audiorec.tagger.vectors import shipped_sound
from audiorec.words.labels import nearness, shipped_labels

STEPS = 30
BLOCKS = (200, 412)  # where the blocks of an embedding begin
HEARD = {
    "piano.flac": "Piano",
    "drums.flac": "Drum kit",
    "metal.flac": "Heavy metal",
    "speech.flac": "Speech",
    "animal.flac": "Animal",
    "sax.flac": "Saxophone",
}


@cache
def embedding_of(name, strength=4.0):
    """Return an embedding (624,) of which one label is far above the usual, and others are not."""
    labels = shipped_labels()
    wanted = (np.array(labels.names) == name)[: labels.outer.shape[1]] * strength
    first = labels.heard(labels.numbers(_made(_centres())), [labels.names.index(name)]).argmax()
    more = {"jac": True, "method": "L-BFGS-B", "options": {"maxiter": STEPS}}
    exact = minimize(_beside, _centres()[first], wanted, **more).x
    return _made(exact)


@cache
def _centres():
    """Return prepared embeddings (M, 624) that lie near the centres of the labels."""
    return shipped_labels().centres @ np.linalg.pinv(shipped_labels().narrow)


def _made(prepared):
    """Return embeddings that become these: preparing brings each block to length 1."""
    sound = shipped_sound()
    longer = 20 * prepared / np.where(sound.scale > 0, sound.scale, 1)
    return (sound.centre + longer).astype(np.float16)


def _beside(raw, wanted):
    """Return how far labels lie beside those that are wanted, squared, and the gradient of that."""
    labels = shipped_labels()
    blocks = np.split(raw, BLOCKS)
    units = [block / np.linalg.norm(block) for block in blocks]
    place = np.concatenate(units) @ labels.narrow
    near = nearness(place[None], labels.centres)[0]
    wrong = near @ labels.inner @ labels.outer + labels.offset[: len(wanted)] - wanted
    by_near = near * (labels.inner @ (labels.outer @ wrong))
    by_unit = np.split(labels.narrow @ (by_near @ labels.centres - by_near.sum() * place), BLOCKS)
    slopes = [
        (by - unit * (unit @ by)) / np.linalg.norm(block)
        for by, unit, block in zip(by_unit, units, blocks, strict=True)
    ]
    return wrong @ wrong / 2, np.concatenate(slopes)


def write_heard(folder, heard=HEARD):
    """Write a store with an embedding for each song; returns its path."""
    path = write_good_store(folder, tuple(heard))
    return add_heard(path, [name for _, name in sorted(heard.items())])


def add_heard(path, names):
    """Give the songs of a store embeddings in which labels are heard, in the order of its songs."""
    rows = [embedding_of(name) for name, _ in zip(names, VectorStore.open(path).ids)]  # noqa: B905
    return add_lists(path, sound_id=shipped_labels().sound_sha256[:16], embedding=rows)
