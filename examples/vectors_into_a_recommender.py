"""Vectors into a recommender: pandas, DuckDB and scikit-learn on the same file.

python examples/vectors_into_a_recommender.py [FOLDER FOR OUTPUTS]
                                                   needs: pip install ".[sklearn]"
and pandas and duckdb; polars is used where it is installed.
"""

# %% The songs, as in my_library.py.
import sys
from importlib.util import find_spec
from pathlib import Path

import duckdb
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import audiorec

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/examples")
audiorec.extract("fixtures/audio", out=out / "vecs.parquet", scores=out / "scores.parquet")
library = audiorec.open_store(out / "vecs.parquet")

# %% pandas: 84 named numbers a song, six statistics of each of fourteen classes.
numbers = library.frame()
print("pandas:", numbers.shape, list(numbers.columns[:3]))
means = numbers.filter(like="_mean")
print("most metal:", means["genre_metal_mean"].idxmax())

# %% DuckDB reads the file as it is; class c and statistic s stand at vector[6 * c + s + 1].
query = f"""
    SELECT codec, count(*) AS songs, round(avg(duration_s), 1) AS seconds
    FROM '{out / "vecs.parquet"}' WHERE status = 'ok' GROUP BY codec ORDER BY songs DESC, codec
"""  # noqa: S608
print("duckdb:", duckdb.sql(query).fetchall()[0])

# %% polars
if find_spec("polars"):
    import polars as pl

    longest = library.to_polars(["song_id", "duration_s"]).sort(pl.col("duration_s")).row(-1)
    print("polars: the longest song is", longest[0])

# %% scikit-learn: somebody's likes and dislikes become a score for every song of the library.
likes = ["blues-band.mp3", "death-metal-band.ogg", "guitar-band.flac"]
dislikes = ["classical-piano.flac", "birds.ogg", "white-noise.flac"]
heard = [library.resolve(name) for name in likes + dislikes]
taste = make_pipeline(StandardScaler(), LogisticRegression())
taste.fit(means.loc[heard], [1] * len(likes) + [0] * len(dislikes))
unheard = means[library.music].drop(index=heard, errors="ignore")
score = taste.predict_proba(unheard)[:, 1]
for place in np.argsort(-score)[:3]:
    print(f"recommended: {score[place]:.2f}  {unheard.index[place]}")

# %% The same from files on: the vectorizer stands first in a pipeline, and opens new songs itself.
from_files = make_pipeline(
    audiorec.AudioVectorizer(outputs="mean"), StandardScaler(), LogisticRegression()
)
files = [f"fixtures/audio/{name}" for name in heard]
from_files.fit(files, [1] * len(likes) + [0] * len(dislikes))
new = "fixtures/audio/metal-band-with-woman-singing.mp3"
print(f"a new song: {from_files.predict_proba([new])[0, 1]:.2f}")

# %% Retrieval: the songs' vectors as they are compared, for an index of your own.
space = library.space("vector")
print("units:", space.matrix.shape, "of length", float(np.linalg.norm(space.matrix[0]).round(3)))
