"""Teach audiorec classes of your own, from a folder with one sub-folder a class.

python examples/own_head.py [FOLDER FOR OUTPUTS]        needs: pip install ".[train]"
"""

import shutil
import sys
from pathlib import Path

from audiorec.labelling.songs import labelled_features, read_labels, train_from_labels
from audiorec.labelling.train import HeadRecipe

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/examples")

# Eighteen clips are far too few for a useful classifier; they show the way.
LABELS = {
    "with a beat": "blues-band death-metal-band drum-loop game-tune-caribbean guitar-band "
    "jazz-vibraphone metal-band-with-woman-singing synthesizer-beat tabla-loop",
    "without": "birds choir-a-cappella city-street classical-piano man-singing-alone "
    "sine-440-hz speech-in-french speech-over-telephone white-noise",
}
for label, names in LABELS.items():
    folder = out / "labelled" / label
    folder.mkdir(parents=True, exist_ok=True)
    for clip in Path("fixtures/audio").iterdir():
        if clip.stem in names.split():
            shutil.copy(clip, folder)

# The network's outputs are extracted once and kept, then a small classifier learns from them.
features = labelled_features(read_labels(out / "labelled"), out / "features")
print("classes:", ", ".join(features.classes))
trained, by_segment, by_song = train_from_labels(
    features, task="beat", recipe=HeadRecipe(hidden=())
)
trained.head.save(out / "beat.safetensors")

# Every song was judged by a head that had not heard it.
print(f"accuracy by song: {by_song.accuracy.value:.2f} of {by_song.n} songs")

# From here on the classes can be had for any song:
#   audiorec extract FOLDER --head build/examples/beat.safetensors --out own.parquet
print(f"head: {out / 'beat.safetensors'}")
