"""Ask why two songs are alike: a similarity is a sum, so it can be taken apart.

python examples/why_alike.py [FOLDER FOR OUTPUTS]
"""

import sys
from pathlib import Path

import audiorec
from audiorec.search.explain import explain

out = Path(sys.argv[1] if len(sys.argv) > 1 else "build/examples")
audiorec.extract("fixtures/audio", out=out / "vecs.parquet")
library = audiorec.open_store(out / "vecs.parquet")

query = library.resolve("blues-band")
nearest = library.similar(query, k=1, by="vector")[0]
print(f"{query} and {nearest.song_id}: similarity {nearest.similarity:.3f}")

# The similarity is the product of two weighted vectors of length 1; each class has a share in it.
space = library.space()
rows = [library.row_number(query), library.row_number(nearest.song_id)]
why = explain(
    *space.units(rows),
    scaling=space.scaling,
    query=library.vectors[rows[0]],
    song=library.vectors[rows[1]],
    metadata=library.metadata,
)
for name, part in list(why.by_class.items())[:4]:
    print(f"{part:+.3f}  {name}")
print(f"all classes together: {sum(why.by_class.values()):.3f}")
