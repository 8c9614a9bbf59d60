"""The same with implicit: python examples/experiment/with_implicit.py LOG.

pip install implicit pandas
"""

import sys

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import TFIDFRecommender
from scipy.sparse import csr_matrix

log = sys.argv[1] if len(sys.argv) > 1 else "fixtures/formats/models-v1/plays.csv"
plays = pd.read_csv(log).query("event == 'finish'").sort_values("timestamp", kind="stable")
user, users = pd.factorize(plays["user_id"])
song, songs = pd.factorize(plays["song_id"])
shape = (len(users), len(songs))
last = ~plays["user_id"].duplicated(keep="last").to_numpy()
known = csr_matrix((np.ones((~last).sum(), np.float32), (user[~last], song[~last])), shape)
for model in (TFIDFRecommender(), AlternatingLeastSquares(64, random_state=0)):
    model.fit(known, show_progress=False)
    found, _ = model.recommend(user[last], known[user[last]], N=min(10, len(songs)))
    hit = found == song[last][:, None]
    rank = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, np.inf)
    print(type(model).__name__, f"hit_rate@10 {hit.any(axis=1).mean():.3f}", end=", ")
    print(f"mrr@10 {(1 / rank).mean():.3f}")
every = csr_matrix((np.ones(len(plays), np.float32), (user, song)), shape)
model = AlternatingLeastSquares(64, random_state=0)
model.fit(every, show_progress=False)
found, _ = model.recommend(np.arange(len(users)), every, N=min(10, len(songs)))
rows = [
    (users[row], songs[one], rank)
    for row, line in enumerate(found)
    for rank, one in enumerate(line, 1)
    if one >= 0  # -1 where nothing is left
]
print(pd.DataFrame(rows, columns=["user_id", "song_id", "rank"]))
