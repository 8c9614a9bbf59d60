"""The command, run in the process of a test."""

from functools import partial

import pytest
from command import run_command


@pytest.fixture
def audiorec(monkeypatch, capsys):
    """Run the command in this process; return exit code, stdout and stderr."""
    return partial(run_command, monkeypatch, capsys)
