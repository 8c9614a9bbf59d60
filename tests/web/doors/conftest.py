"""One small library, read once for each module."""

import pytest
from door_library import snapshot_of, write_served
from needs import needs

needs("starlette")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def snapshot(store):
    return snapshot_of(store)
