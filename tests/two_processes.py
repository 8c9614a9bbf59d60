"""Two processes that train together, forked from the test: nothing is imported twice."""

import os

import torch

from audiorec.errors import AudiorecError
from audiorec.learning.processes import Processes


def in_two(work, target, *, dies=None):
    """Run ``target(processes)`` in two forked processes; return what each gave, as text.

    The one of rank `dies` ends on its own and gives nothing.
    """
    children = []
    for rank in (0, 1):
        child = os.fork()
        if child == 0:
            try:
                distributed = torch.distributed
                torch.set_num_threads(1)
                distributed.init_process_group(
                    "gloo", init_method=f"file://{work}/meet", rank=rank, world_size=2
                )
                (work / str(rank)).write_text(repr(target(Processes(rank, 2))))
                distributed.destroy_process_group()
            except (AudiorecError, RuntimeError, AssertionError) as error:
                (work / str(rank)).write_text(repr(error))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return ["" if rank == dies else (work / str(rank)).read_text() for rank in (0, 1)]
