"""Execution engines: run each task exactly once, locally or on a cluster, in any order.

::

    tasks ──an engine──▶ outcomes      a lost task yields an outcome too; the others continue

==============  ======================================================================
``tasks``       interface between engines and their callers
``local``       threads of this process, or worker processes that may die
``ray``         plain tasks of a Ray cluster (extra ``ray``)
``dask``        tasks of a Dask cluster (extra ``dask``)
``blocks``      map over the blocks of a job, sharing large inputs, isolating failures
``mapped``      values whose arrays are memory-mapped by all processes of a machine
``one_thread``  matrix products independent of the number of cores
``choice``      choice of an engine by command-line options
==============  ======================================================================

Public::

    tasks       Engine, Outcome, Task, attempt
    local       run_processes, run_threads
    ray         run_ray
    dask        run_dask
    blocks      BlockOutcome, BlockTask, block_runner, map_blocks
    mapped      MappedValue, write_mapped
    one_thread  one_thread
    choice      Runner, engine_of
"""
