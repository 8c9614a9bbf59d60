"""My library in ten minutes: from a folder of songs to playlists and a map.

    python examples/my_library.py [FOLDER FOR OUTPUTS]

Each part below is a cell of a notebook: editors that know `# %%` run them one by one.
"""

# %% A folder of songs becomes a store. Worker processes decode; a broken file costs itself alone.
import sys
from pathlib import Path

import audiorec
from audiorec.search import Choice, SimilarQuestion, sentence

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/examples") / "demo"
report = audiorec.extract("fixtures/demo", out=out / "vecs.parquet", scores=out / "scores.parquet")
print(f"{report.extracted} songs extracted, {report.unchanged} unchanged, {report.failed} failed")

# %% What is in it. A second run opens no song that has not changed.
library = audiorec.open_store(out / "vecs.parquet")
print(library)
print(library.classify())

# %% One song, named by a unique part of its id: its columns, its 84 numbers, its scores over time.
print(library["vibe-ace.opus"])
print(library["vibe-ace.opus"].numbers["genre_jazz_max"])
series = audiorec.scores("fixtures/demo/vibe-ace.opus")
print(series)

# %% Songs that sound like it. Speech, noise and copies stay out unless they are asked for.
near = library.similar("vibe-ace.opus", k=5)
print(near)
choice = Choice(only="genre=jazz|electronic", per_artist=1)
print(library.similar("vibe-ace.opus", k=5, choice=choice))

# %% How close are they, and why? What is certain of both, the rarest in this library first.
answer = library.ask(SimilarQuestion(seeds=["vibe-ace.opus"], k=5))
for song_id, percent, reasons in zip(
    answer.song_ids, answer.beside.percent, answer.beside.reasons, strict=True
):
    print(f"{song_id}, closer than {percent} of all pairs: {sentence(reasons)}")

# %% Or like a file that the library does not have; here one that it has, so it finds that song.
print(audiorec.similar("fixtures/demo/vermocsar.opus", k=3, vectors=library))

# %% A smooth way from one song to another, and a minute and a half that go with one song.
way = library.path_between("violin-concerto", "metal-madness", steps=3)
print(way)
evening = library.playlist("vibe-ace.opus", minutes=1.5)
print(evening)
evening.to_m3u8(out / "evening.m3u8")

# %% The same audio more than once.
for group in library.duplicates():
    print(group.verdict, *group.song_ids)

# %% A map of the library, and the song over time, where the plug-in is installed.
try:
    from audiorec_plots.library_map import library_figure
    from audiorec_plots.songs import song_figure
except ModuleNotFoundError:
    print("to draw them: pip install ./plugins/audiorec-plots")
else:
    library_figure(library).savefig(out / "map.png")
    song_figure(series, title="Vibe Ace").savefig(out / "vibe-ace.png")
    print("drawn:", out / "map.png")
