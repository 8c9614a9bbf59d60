"""From listening to the audience of a song that nobody has heard: the whole way, on made-up users.

    python examples/cold_start.py [FOLDER FOR OUTPUTS]      needs: pip install "audiorec[train]"

Real listening goes in where the simulated world stands: a table with user_id, song_id, timestamp,
event. 27 clips and 60 made-up users say nothing about quality; they show what goes where.
"""

import sys
from pathlib import Path

import pyarrow.parquet as pq

import audiorec
from audiorec.listening.interactions import read_interactions
from audiorec.recall.audio.embed import embed_features
from audiorec.recall.audio.job import train_metric
from audiorec.recall.audio.model import MetricModel
from audiorec.recall.audio.recipe import MetricRecipe, TrainingOptions
from audiorec.recall.cold_start.job import ColdStart
from audiorec.recall.cold_start.plan import ColdStartPlan
from audiorec.recall.cold_start.sides import ColdStartFiles, open_inputs
from audiorec.recall.sequence.youtube_dnn import job as user_job
from audiorec.recall.sequence.youtube_dnn.recipe import UsersRecipe
from audiorec.simulation.world import WorldSpec, simulate_world

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/examples") / "cold-start"

# 1. The songs: those that users know, and two that come out today. Features are what models read.
songs = sorted(Path("fixtures/audio").glob("*.*"))
new = [song for song in songs if song.stem in ("jazz-vibraphone-later", "guitar-band")]
known = [song for song in songs if song not in new]
audiorec.extract(known, out=out / "vecs.parquet", features=out / "features.parquet")
audiorec.extract(new, out=out / "new.parquet", features=out / "new-features.parquet")
library = audiorec.open_store(out / "vecs.parquet")

# 2. Listening.
world = simulate_world(library, out / "world", WorldSpec(users=60, days=30, cold_songs=0.0))
print(f"{world['events']} events of {world['users']} simulated users over {len(library)} songs")
log = read_interactions(out / "world" / "interactions.parquet")

# 3. The user model: what a user likes next, from what came before. 40 numbers a user.
data = user_job.training_data(log, inputs=user_job.SongInputs(library))
user_model = user_job.train_user_model(data, out / "user-model", recipe=UsersRecipe(max_epochs=4))
users = user_job.embed_users(user_model, log)
user_job.write_users(out / "users.parquet", users, user_model)
print(f"{len(users.user_ids)} users embedded in {user_model.dimension} numbers")

# 4. The user-audio model: puts a song, from its sound alone, near the users who will like it.
options = TrainingOptions(recipe=MetricRecipe(max_epochs=4))
report = train_metric(
    out / "features.parquet",
    out / "world" / "interactions.parquet",
    out=out / "audio-model",
    users=out / "users.parquet",
    options=options,
)
print(f"user-audio model trained for {report.epochs} epochs")
embed_features(
    MetricModel.load(out / "audio-model"),
    out / "new-features.parquet",
    out=out / "new-embeddings.parquet",
)

# 5. Cold start: for each new song the users nearest to it, a row a pair.
files = ColdStartFiles(songs=out / "new-embeddings.parquet", users=out / "users.parquet")
inputs = open_inputs(files)
plan = ColdStartPlan(lists="audience", k=5)
job = ColdStart(inputs.songs, inputs.users, plan, inputs=files.identity())
job.run(out / "audience.parquet")
audience = pq.read_table(out / "audience.parquet")
print(f"{audience.num_rows} rows: {', '.join(audience.column_names)}")
for row in audience.slice(0, 3).to_pylist():
    print(f"{row['song_id']} for {row['user_id']}, similarity {row['similarity']:.2f}")
