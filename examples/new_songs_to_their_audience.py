"""New songs to their audience: who may like what nobody has heard, without and with learnt models.

    python examples/new_songs_to_their_audience.py [FOLDER FOR OUTPUTS]
                                                       needs: pip install ".[train]"

Real listening goes in where the simulated world stands: a table with user_id, song_id, timestamp,
event. 27 clips and 60 made-up users say nothing about quality; they show what goes where.
"""

# %% The songs: those that users know, and two that come out today. Models read the features.
import sys
from pathlib import Path

import pyarrow.parquet as pq

import audiorec
from audiorec.listening.interactions import read_interactions
from audiorec.listening.reading import to_liked
from audiorec.recall import YouTubeDNN, YouTubeDNNRecipe
from audiorec.recall.audio.channel import UserAudio
from audiorec.recall.audio.embed import embed_stored
from audiorec.recall.audio.model import UserAudioRecipe
from audiorec.recall.cold_start.assign import ColdStartPlan
from audiorec.recall.cold_start.matching import ColdStart
from audiorec.recall.cold_start.sides import ColdStartFiles, open_inputs
from audiorec.recall.contract.data import Context, RecallData, Sound
from audiorec.recall.contract.space import write_users
from audiorec.recall.contract.training import train_channel
from audiorec.simulation.world import WorldSpec, simulate_world
from audiorec.store.features import FeatureFile

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/examples") / "new-songs"
clips = sorted(Path("fixtures/audio").glob("*.*"))
new = [clip for clip in clips if clip.stem in ("jazz-vibraphone-later", "guitar-band")]
known = [clip for clip in clips if clip not in new]
audiorec.extract(known, out=out / "vecs.parquet", features=out / "features.parquet")
audiorec.extract(new, out=out / "new.parquet", features=out / "new-features.parquet")
library = audiorec.open_store(out / "vecs.parquet")

# %% Who listened to what.
world = simulate_world(library, out / "world", WorldSpec(users=60, days=30, cold_songs=0.0))
plays = out / "world" / "interactions.parquet"
log = read_interactions(plays)
print(f"{world['events']} events of {world['users']} simulated users over {len(library)} songs")


def heard(name: str) -> Sound:
    """Return how songs sound, by segments; artists are those of the library."""
    return Sound.of_features(FeatureFile.open(out / f"{name}.parquet"), library)


def audiences(files: ColdStartFiles, name: str) -> None:
    """Find the five users nearest to each new song, and print the first few."""
    inputs = open_inputs(files)
    plan = ColdStartPlan(lists="audience", k=5)
    job = ColdStart(inputs.songs, inputs.users, plan, heard=inputs.heard, inputs=files.identity())
    job.run(out / name)
    rows = pq.read_table(out / name, columns=["song_id", "user_id", "similarity"]).to_pylist()
    print(f"{name}: {len(rows)} rows")
    for row in rows[:2]:
        print(f"{row['song_id']} for {row['user_id']}, similarity {row['similarity']:.2f}")


# %% Without a model: a user's taste is the mean of the songs they like, a song is its vector.
files = ColdStartFiles(songs=out / "new.parquet", vectors=out / "vecs.parquet", interactions=plays)
audiences(files, "audience-by-taste.parquet")

# %% youtube-dnn learns what a user likes next from what came before: 40 numbers a user.
liked, context = to_liked(log).liked, Context(sound=Sound.of_store(library))
taste = YouTubeDNN(YouTubeDNNRecipe(dimension=40, max_epochs=4))
train_channel(taste, RecallData(liked, context=context), out / "taste")
users = write_users(out / "users.parquet", taste, context.queries_of(liked))
print(f"{users['users']} users embedded in {taste.recipe.dimension} numbers")

# %% User-audio puts a song, from its sound alone, near the users who will like it.
likes = RecallData.of_likes(to_liked(log), Context(sound=heard("features")))
recipe = UserAudioRecipe(users=str(out / "users.parquet"), max_epochs=4)
channel, embeddings = UserAudio(recipe).fit(likes), out / "new-embeddings.parquet"
channel.save(out / "audio-model")
print(f"user-audio model trained for {channel.figures['epochs']} epochs")
embed_stored(channel, heard("new-features"), out=embeddings)

# %% The same audiences, by what was learnt.
audiences(ColdStartFiles(songs=embeddings, users=out / "users.parquet"), "audience-learnt.parquet")
