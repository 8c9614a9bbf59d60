"""`listening.likes`: by plain name, in the order of the users asked for."""

from audiorec.listening.interactions import read_interactions
from audiorec.listening.reading import follows


def test_who_follows_whom(tmp_path):
    (tmp_path / "log.csv").write_text(
        "user_id,song_id,timestamp,event,artist_id\n"
        "u,,2024-01-01,follow,Nina  Simone\n"
        "v,,2024-01-01,follow,nina simone\n"
        "v,,2024-01-02,block,Bill\n"
        "w,a,2024-01-01,finish,\n"
    )
    found = follows(read_interactions(tmp_path / "log.csv"), ("w", "v", "x"))
    assert found.owner_ids == ("w", "v", "x")
    names = [[found.song_ids[s] for s in found[row]] for row in range(3)]
    assert names == [[], ["nina simone"], []]
