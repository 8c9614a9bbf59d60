"""One small library, read once for each module."""

import pytest
from needs import needs
from served_library import snapshot_of, write_served


class ServerModule(pytest.Module):
    """A module of tests that is skipped, before it is imported, where there is no server."""

    def collect(self):
        needs("starlette")
        return super().collect()


def pytest_pycollect_makemodule(module_path, parent):
    return ServerModule.from_parent(parent, path=module_path)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_served(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def snapshot(store):
    return snapshot_of(store)
