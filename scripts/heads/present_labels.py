"""Say how much of each label is heard where it is there: ``audiorec/words/data/present.csv``.

    python scripts/heads/present_labels.py STORE

STORE holds cuts of half a minute from the middle of free music (packages of Debian, named in the
model card). A label is there from the larger of two levels: what its own kind of sound has, among
the centres that the labels were learnt with, and what `RARE` of music has more, or `USUAL` for
moods and for what most music has.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from audiorec.library.library import open_store
from audiorec.words.hearing import Hearing
from audiorec.words.labels import TAG, nearness, words_data
from audiorec.words.strength import CURVE, FILE

RARE, USUAL, HIGHEST = 0.03, 0.3, 0.995
COMMON = {
    "Guitar", "Piano", "Drum", "Drum kit", "Singing", "Percussion", "Synthesizer", "Orchestra",
    "Bass guitar", "Musical instrument", "Plucked string instrument", "Keyboard (musical)",
    "Electric guitar", "Acoustic guitar", "Music", "Song", "Vocal music", "Electronic music",
    "Rock music", "Pop music", "Tender music", "Happy music", "Sad music", "Exciting music",
    "Angry music", "Scary music", "Funny music", "Dance music", "Ambient music",
    "Background music", "Soundtrack music", "Theme music", "New-age music", "Classical music",
    "Electronic dance music", "Jazz", "Speech",
}  # fmt: skip


def main() -> None:
    """Write the table."""
    hearing = Hearing(open_store(Path(sys.argv[1])))
    labels = hearing.labels
    own = [name for name in labels.names if not name.startswith(TAG)]
    near = nearness(labels.centres, labels.centres)
    heard = near @ labels.inner @ labels.outer + labels.offset[: len(own)]
    highest = np.quantile(heard, HIGHEST, axis=0)
    with (words_data() / FILE).open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(("label", "present"))
        for name, most in zip(own, highest.tolist(), strict=True):
            share = USUAL if name in COMMON else RARE
            usual = float(np.quantile(hearing.levels(name), 1 - share)) / CURVE[1]
            lines.writerow((name, f"{max(most, usual):.2f}"))


if __name__ == "__main__":
    main()
