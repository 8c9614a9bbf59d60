"""The odd files, made once for all tests of the stage."""

import pytest
from odd_files import OddFile, odd_files


@pytest.fixture(scope="session")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OddFile]:
    """Every odd file, by its name."""
    return {file.name: file for file in odd_files(tmp_path_factory.mktemp("odd"))}
