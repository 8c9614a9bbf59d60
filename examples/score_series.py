"""Follow one song through time: a row of scores every three seconds, and what becomes of them.

python examples/score_series.py
"""

import audiorec

song = "fixtures/audio/rock-song-with-woman-singing.m4a"

# T segments x 14 classes: four versions and ten genres, each group a distribution of its own.
series = audiorec.scores(song)
print(f"{series.scores.shape[0]} segments, {series.scores.shape[1]} classes")

voice = series.classes.index("version/vocal_accompaniment")
for start, row in zip(series.start_s, series.scores, strict=True):
    print(f"{start:5.1f} s  voice with accompaniment {row[voice]:.2f}")

# The vector keeps six statistics of each class and drops the order in time.
vector = audiorec.vector(song).reshape(14, 6)
print(f"mean over the song: {vector[voice, 2]:.2f}")

# Below the heads lies the backbone, with 50 tags of its own.
taggram = audiorec.taggram(song)
print("strongest tag:", taggram.classes[int(taggram.scores.mean(axis=0).argmax())])
