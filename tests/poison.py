"""The pipeline's handler for worker processes, with songs that kill it.

A song hangs if its name begins with "hang" or is ``$HANGS_AT``, until a file ``go`` lies beside it.
"""

import os
import signal
import time
from pathlib import Path

import numpy as np

from audiorec.errors import MissingExtraError
from audiorec.extraction import pipeline
from audiorec.files.tables import TableFile


def kept(run_folder):
    """Count the songs in the parts of an unfinished run."""
    count = 0
    for path in Path(run_folder).glob("vectors-*.parquet"):
        with TableFile.open(path) as part:
            count += len(part)
    return count


def song_handler(*arguments):
    return _poisoned(pipeline.song_handler(*arguments))


def taggram_handler(*arguments):
    return _poisoned(pipeline.taggram_handler(*arguments))


def _poisoned(handle):
    def poisoned(path):
        name = Path(path).name
        if name.startswith("segfault"):
            os.kill(os.getpid(), signal.SIGSEGV)
        if name.startswith("hang") or name == os.environ.get("HANGS_AT"):
            if marks := os.environ.get("HANGS"):
                (Path(marks) / str(os.getpid())).touch()
            while not Path(path).with_name("go").exists():
                time.sleep(0.02)
        if name.startswith("memory"):
            raise MemoryError
        return handle(path)

    return poisoned


def eating_handler(*arguments):
    handle = pipeline.song_handler(*arguments)

    def poisoned(path):
        if Path(path).name.startswith("hang"):
            np.ones(6 << 30, np.uint8)  # more than the limit of a worker
        return handle(path)

    return poisoned


def without_torch(*_arguments):
    def refuse(_path):
        raise MissingExtraError("the torch engine", "train", "No module named 'torch'")

    return refuse
