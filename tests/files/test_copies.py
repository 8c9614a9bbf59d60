"""`audiorec.files.copies`: what is copied when, what is refused, what is kept."""

import os
from uuid import uuid4

import pytest
from needs import needs

from audiorec.errors import InputError, MissingFileError, StoreError
from audiorec.files import copies
from audiorec.files.copies import with_local, with_shown_names
from audiorec.files.storage import Entry, write

needs("fsspec")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOREC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "elsewhere"


@pytest.fixture
def root():
    return f"memory://{uuid4().hex}"


@pytest.fixture
def fetched(monkeypatch):
    """Count what is copied."""
    places = []
    real = copies.fetch

    def fetch(place, path, **limits):
        places.append(place.rpartition("/")[2])
        real(place, path, **limits)

    monkeypatch.setattr(copies, "fetch", fetch)
    return places


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()
    }


def test_what_did_not_change_is_copied_once(root, fetched):
    place = f"{root}/plays.parquet"
    write(place, b"one")
    first, again = with_local(place), with_local(place)
    assert first == again
    assert (first.name, first.read_text(), fetched) == ("plays.parquet", "one", ["plays.parquet"])
    write(place, b"two")
    assert with_local(place).read_text() == "two"
    assert first.read_text() == "one"  # who reads it still may
    assert with_shown_names(f"{first}: is damaged") == f"{place}: is damaged"


def test_a_folder_is_copied_with_what_is_below_it(root):
    write(f"{root}/model/model.json", b"{}")
    write(f"{root}/model/deep/a", b"x")
    write(f"{root}/model2/b", b"y")
    assert tree(with_local(f"{root}/model")) == {"model.json": "{}", "deep/a": "x"}
    with pytest.raises(MissingFileError, match="no such file"):
        with_local(f"{root}/mod")


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "a//b", "a\\b", "a\nb", "a\x1b[2Jb", "c:/x", "x" * 2000]
)
def test_a_name_that_leads_out_is_refused(root, monkeypatch, name, tmp_path):
    write(f"{root}/model/good", b"x")
    hostile = Entry(f"{root}/model/good", name, 1, 0)
    monkeypatch.setattr(copies, "files_in", lambda _uri: [hostile])
    with pytest.raises(InputError, match=r"refused, since it holds a file named") as caught:
        with_local(f"{root}/model")
    assert str(caught.value).isprintable()
    assert not list(tmp_path.rglob("x"))


def test_a_listing_has_a_limit(root, monkeypatch):
    monkeypatch.setattr(copies, "MOST_FILES", 2)
    for name in "abc":
        write(f"{root}/many/{name}", b"x")
    with pytest.raises(StoreError, match="has 3 files, the limit is 2"):
        with_local(f"{root}/many")


def test_copies_take_no_more_than_their_limit(root, monkeypatch, cache, fetched):
    monkeypatch.setenv("AUDIOREC_CACHE_GB", "0.000003")  # 3 kB
    for name in "abcd":
        write(f"{root}/{name}", name.encode() * 1000)
    held = [with_local(f"{root}/{name}") for name in "abc"]
    with pytest.raises(StoreError, match=r"0.00 GB in use; the limit is 0.00 GB: raise \$AUDIOREC"):
        with_local(f"{root}/d")
    assert all(path.is_file() for path in held)  # a running process may use them
    # A later day: what was used last stays.
    for age, path in enumerate(held):
        os.utime(path.parents[1] / copies.WHOLE, (1e9 - age, 1e9 - age))
    assert with_local(f"{root}/d").is_file()
    assert [path.exists() for path in held] == [True, True, False]
    assert fetched == ["a", "b", "c", "d"]
    write(f"{root}/large", b"x" * 4000)
    with pytest.raises(StoreError, match="GB of cache beside"):
        with_local(f"{root}/large")
    monkeypatch.setenv("AUDIOREC_CACHE_GB", "much")
    write(f"{root}/e", b"x")
    with pytest.raises(InputError, match=r"\$AUDIOREC_CACHE_GB must be a number of GB above 0"):
        with_local(f"{root}/e")


def test_what_changes_while_it_is_copied_is_refused(root, monkeypatch, cache):
    write(f"{root}/a", b"123")
    real = copies.fetch

    def fetch(place, path, **options):
        write(place, b"12")
        real(place, path, **options)

    monkeypatch.setattr(copies, "fetch", fetch)
    with pytest.raises(StoreError, match="changed while it was copied"):
        with_local(f"{root}/a")
    assert not list(cache.rglob("a"))


def test_a_cache_that_others_may_write_to_is_refused(root, cache):
    write(f"{root}/a", b"x")
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    with pytest.raises(StoreError, match="is writable by others"):
        with_local(f"{root}/a")
    cache.rmdir()
    cache.symlink_to(cache.parent)
    with pytest.raises(StoreError, match="is a link"):
        with_local(f"{root}/a")
