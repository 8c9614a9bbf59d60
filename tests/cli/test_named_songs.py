"""What every command that names a song says about a name that means several songs, or none."""

import pytest
from needs import needs

COMMANDS = {
    "similar": "similar {}",
    "playlist": "playlist {}",
    "path": "playlist {} --to album",
    "info": "info {}",
    "classify": "classify {}",
    "tags": "classify {} --tags 3",
    "plot": "plot {} --out song.png",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_name_of_several_songs_names_them(in_library, command):
    if command.startswith("plot"):
        needs("audiorec_plots")
    code, out, err = in_library(*(part.replace("{}", "ong 1") for part in command.split()))
    assert (code, out) == (2, "")
    assert err.startswith("error: 10 songs match 'ong 1': ")
    assert err.endswith(" and 5 more; name one by its id or path\n")


@pytest.mark.parametrize("name", ["similar", "playlist", "path", "info"])
def test_an_unknown_name_says_which_store_and_how_to_list_it(in_library, name):
    code, out, err = in_library(*COMMANDS[name].replace("{}", "nosuchsong").split())
    assert (code, out) == (2, "")
    said = "no song with id 'nosuchsong' in vecs.parquet; list its songs: audiorec classify"
    assert err == f"error: {said} --vectors vecs.parquet\n"


def test_the_command_that_lists_the_songs_does(in_library):
    code, out, _ = in_library("classify", "--vectors", "vecs.parquet")
    assert code == 0
    assert "copies/song 7b.mp3" in out
