"""The same with RecTools: python examples/experiment/with_rectools.py LOG.

pip install rectools
"""

import sys

import pandas as pd
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import TFIDFRecommender
from rectools.dataset import Dataset
from rectools.metrics import MRR, HitRate
from rectools.model_selection import LastNSplitter, cross_validate
from rectools.models import ImplicitALSWrapperModel, ImplicitItemKNNWrapperModel, PopularModel

log = sys.argv[1] if len(sys.argv) > 1 else "fixtures/formats/models-v1/plays.csv"
plays = pd.read_csv(log).query("event == 'finish'").rename(columns={"song_id": "item_id"})
plays["datetime"] = pd.to_datetime(plays.pop("timestamp"), unit="s")
data = Dataset.construct(plays.assign(weight=1.0))
als = ImplicitALSWrapperModel(AlternatingLeastSquares(64, random_state=0))
models = {"popular": PopularModel(), "item-knn": ImplicitItemKNNWrapperModel(TFIDFRecommender())}
measures = {"hit_rate@10": HitRate(10), "mrr@10": MRR(10)}
found = cross_validate(
    data, LastNSplitter(1), measures, {**models, "als": als}, k=10, filter_viewed=True
)
print(pd.DataFrame(found["metrics"]))
lists = als.fit(data).recommend(plays["user_id"].unique(), data, k=10, filter_viewed=True)
print(lists[["user_id", "item_id", "rank"]])
