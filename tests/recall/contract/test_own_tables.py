"""Candidates and targets of one's own: a row that cannot be used is named."""

import pytest

from audiorec.errors import DamagedFileError
from audiorec.recall.contract.candidates import read_candidates, read_targets

CANDIDATES, TARGETS = read_candidates, read_targets


@pytest.mark.parametrize(
    ("read", "text", "says"),
    [
        (CANDIDATES, "user_id,song_id,rank\nu,a,1\n,b,2\n", "row 2 has no user_id"),
        (CANDIDATES, "user_id,song_id,rank\nu,,1\nu,,2\n", "row 1 has no song_id, and 1 more"),
        (
            CANDIDATES,
            "user_id,song_id,rank\nu,a,first\n",
            "'rank' holds string, expected numb",
        ),
        (CANDIDATES, "user_id,song_id,rank\nu,a,nan\nu,b,2\n", "row 1 has no rank"),
        (
            CANDIDATES,
            "user_id,song_id,cold\nu,a,maybe\n",
            "'cold' holds string, expected true",
        ),
        (TARGETS, "user_id,song_id\nu,\n", "row 1 has no song_id"),
        (TARGETS, "user_id,song_id,group_id\nu,a,\n", "row 1 has no group_id"),
        (TARGETS, "user_id,song_id,group_id\nu,a,1\nu,b,2\n", "'u' is in two groups"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, read, text, says):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DamagedFileError, match=says):
        read(path)
