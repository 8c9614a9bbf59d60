"""Two processes that train together, forked from a server of one thread, so that no lock of the
tests' threads is copied; it has loaded what they need."""

import multiprocessing
import os
import sys

import cloudpickle
import torch

from audiorec.errors import AudiorecError
from audiorec.learning.processes import Processes

FORKS = multiprocessing.get_context("forkserver")


def in_two(work, target, *, dies=None):
    """Run ``target(processes)`` in two processes; return what each gave, as text.

    The one of rank `dies` ends on its own and gives nothing.
    """
    FORKS.set_forkserver_preload(["torch._dynamo", "audiorec.learning.fit"])
    module = sys.modules[target.__module__]
    cloudpickle.register_pickle_by_value(module)  # test files of one name are no packages
    try:
        pickled = cloudpickle.dumps(target)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    children = [FORKS.Process(target=_take_part, args=(work, rank, pickled)) for rank in (0, 1)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [int(rank == dies) for rank in (0, 1)]
    return ["" if rank == dies else (work / str(rank)).read_text() for rank in (0, 1)]


def _take_part(work, rank, pickled):
    distributed = torch.distributed
    torch.set_num_threads(1)
    os.environ["WORLD_SIZE"] = "2"  # as torchrun sets it; without it, each would train alone
    distributed.init_process_group(
        "gloo", init_method=f"file://{work}/meet", rank=rank, world_size=2
    )
    try:
        given = repr(cloudpickle.loads(pickled)(Processes(rank, 2)))
        distributed.destroy_process_group()
    except (AudiorecError, RuntimeError, AssertionError) as error:
        given = repr(error)
    (work / str(rank)).write_text(given)
    os._exit(0)
