"""Files of every format, full of tags, and what is done with them."""

import shutil
from functools import partial

import pytest
from command import run_command

from audiorec.audio.decode import content_hash
from audiorec_retag.change import Change


@pytest.fixture
def audiorec(monkeypatch, capsys):
    """Run the command in this process; return exit code, stdout and stderr."""
    return partial(run_command, monkeypatch, capsys)


FIELDS = {
    "AUDIOREC_GENRE": ("jazz",),
    "genre": ("Jazz",),
    "mood": ("sad", "mellow"),
    "bpm": ("96",),
    "key": ("F#m",),
}


@pytest.fixture(scope="session")
def tagged(tmp_path_factory):
    """A folder with all files, and the paths by name."""
    from tagged_files import write_tagged

    return write_tagged(tmp_path_factory.mktemp("tagged"))


@pytest.fixture
def song(tagged, tmp_path):
    """A copy of one of the files, by its name."""

    def copy(name, called=None):
        target = tmp_path / (called or tagged[name].name)
        shutil.copyfile(tagged[name], target)
        return target

    return copy


@pytest.fixture
def change():
    """The change of a file, to be written."""

    def make(path, root=None, **more):
        root = root or path.parent
        known = {"fields": FIELDS, "write": True}
        if "content_hash" not in more:
            known["content_hash"] = content_hash(path)
        return Change(root=str(root), parts=path.relative_to(root).parts, **{**known, **more})

    return make
