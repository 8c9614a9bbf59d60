"""`audiorec.library.dataset`: songs of a features file, in the hands of a PyTorch loader."""

import pickle

import numpy as np
import pyarrow.parquet as pq
import pytest
from good_store import IDS, write_good_store
from made_library import series, song, write_library
from needs import needs

torch = needs("torch")

from torch.utils.data import DataLoader

from audiorec.errors import InputError, ShapeError, StoreError, UnknownSongError
from audiorec.library.dataset import FeatureDataset, pad_songs
from audiorec.store.features import FeatureFile

ROWS = torch.tensor([[i, i * i, -1.0] for i in range(5)])  # of every song of the good store


@pytest.fixture
def good(tmp_path):
    return write_good_store(tmp_path).with_name("features.parquet")


@pytest.fixture
def uneven(tmp_path):
    """Songs of 3, 20 and 7 segments."""
    songs = [song(f"{i}.flac", series(i, segments=n)) for i, n in enumerate((3, 20, 7))]
    return write_library(tmp_path, songs, features=True).with_name("features.parquet")


def test_all_segments_of_each_song(good):
    songs = FeatureDataset(good)
    assert (len(songs), songs.ids, songs.width) == (4, IDS, 3)
    for item in (songs[0], songs[3], songs[-1]):
        assert item.dtype == torch.float32
        assert torch.equal(item, ROWS)
    with pytest.raises(IndexError, match="4 songs"):
        songs[4]
    assert len(list(songs)) == 4  # a plain loop ends
    assert repr(songs) == f"FeatureDataset({str(good)!r}: 4 songs of 3 features)"


def test_a_mean_and_some_segments(good):
    assert FeatureDataset(good, segments="mean")[1].tolist() == [2, 6, -1]
    # 3 of 5, evenly spread, and 7 of 5, some of them twice
    assert FeatureDataset(good, segments=3)[0].shape == (3, 3)
    seven = FeatureDataset(good, segments=7)[0][:, 0].tolist()
    assert seven == [0, 0, 1, 2, 2, 3, 4]


def test_the_songs_are_those_of_the_file(uneven):
    file = FeatureFile.open(uneven)
    for number, item in enumerate(FeatureDataset(uneven)):
        values = file.read(np.array([number])).values
        np.testing.assert_array_equal(item.numpy(), values)


def test_ids_and_labels(good):
    songs = FeatureDataset(good, ids=[IDS[2], IDS[0]], labels=[7, 8])
    assert [songs[i][1] for i in range(2)] == [7, 8]
    songs = FeatureDataset(good, labels={IDS[3]: 1, IDS[1]: 0, "not there": 2})
    assert (songs.ids, songs.labels) == ((IDS[1], IDS[3]), (0, 1))
    songs = FeatureDataset(good, ids=[IDS[3]], labels={IDS[3]: 1})
    assert songs[0][1] == 1


def test_refusals(good, tmp_path):
    with pytest.raises(UnknownSongError, match="two"):
        FeatureDataset(good, ids=["a/two.flac ?"])
    with pytest.raises(InputError, match=r"no label for 'a/one\.flac' and 0 more"):
        FeatureDataset(good, ids=IDS[:2], labels={IDS[1]: 0})
    with pytest.raises(ShapeError, match="got 3 labels for 4 songs"):
        FeatureDataset(good, labels=[1, 2, 3])
    for segments in (0, -1, "some", 1.5):
        with pytest.raises(InputError, match="segments must be"):
            FeatureDataset(good, segments=segments)
    with pytest.raises(InputError, match=r"the string 'a/one\.flac'"):
        FeatureDataset(good, ids="a/one.flac")
    with pytest.raises(StoreError, match="nowhere") as caught:
        FeatureDataset(tmp_path / "nowhere.parquet")
    assert isinstance(caught.value, FileNotFoundError)


def test_a_copy_in_another_process_opens_the_file_itself(good):
    songs = FeatureDataset(good, labels=[0, 1, 2, 3])
    songs[0]
    again = pickle.loads(pickle.dumps(songs))  # noqa: S301
    assert again._opened is None
    assert torch.equal(again[2][0], ROWS)


def test_workers_give_the_same_batches(uneven):
    songs = FeatureDataset(uneven, labels=[10, 11, 12])
    here, there = (
        list(DataLoader(songs, batch_size=2, num_workers=n, collate_fn=pad_songs)) for n in (0, 2)
    )
    for one, other in zip(here, there, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    features, lengths, labels = here[0]
    assert features.shape == (2, 20, 6)
    assert (lengths.tolist(), labels.tolist()) == ([3, 20], [10, 11])
    assert not features[0, 3:].any()


def test_padding_without_labels():
    features, lengths = pad_songs([torch.ones(1, 2), torch.ones(3, 2)])
    assert features.sum(dim=(1, 2)).tolist() == [2, 6]
    assert lengths.tolist() == [1, 3]


def test_a_small_cache_changes_no_number(uneven):
    pq.write_table(pq.read_table(uneven), uneven, row_group_size=1)
    small, large = (FeatureDataset(uneven, cache_bytes=n, segments=2) for n in (1, 1 << 30))
    for number in (2, 0, 1, 0):
        assert torch.equal(small[number], large[number])
    assert [len(songs._opened._groups) for songs in (small, large)] == [1, 3]


def test_a_linear_probe_learns(uneven):
    songs = FeatureDataset(uneven, segments="mean", labels=[0, 1, 2])
    torch.manual_seed(0)
    probe = torch.nn.Linear(songs.width, 3)
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.3)
    for _ in range(150):
        for features, labels in DataLoader(songs, batch_size=3):
            loss = torch.nn.functional.cross_entropy(probe(features), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss.item() < 0.3
