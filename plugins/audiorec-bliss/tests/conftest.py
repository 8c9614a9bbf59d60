"""The library of the server's tests."""

import pytest


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    from served_library import write_served

    return write_served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def snapshot(store):
    from served_library import snapshot_of

    return snapshot_of(store)
