"""A small world and its export, for the tests of exports."""

import pytest
from made_export import (
    export_world,
    write_world,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def out(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "export"
    export_world(world, folder)
    return folder
