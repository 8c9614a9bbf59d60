"""An experiment with audiorec: python examples/experiment/with_audiorec.py LOG."""

import sys

from audiorec.listening.interactions import read_interactions
from audiorec.listening.sequences import to_sequences
from audiorec.recall import ALS, ItemKNN, Popular, Queries, RecallData, evaluate

log = sys.argv[1] if len(sys.argv) > 1 else "fixtures/formats/models-v1/plays.csv"
plays = to_sequences(read_interactions(log))
print(evaluate([Popular(), ItemKNN(), ALS()], plays, split="last", ks=[10]))
model = ALS().fit(RecallData(plays))
lists = model.recall(Queries(plays), 10, exclude=plays)
print(lists.to_table(plays.owner_ids).to_pandas()[["user_id", "song_id", "rank"]])
