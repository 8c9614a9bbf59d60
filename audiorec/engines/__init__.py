"""Engines do tasks somewhere and answer each exactly once, in any order.

::

    tasks ──an engine──▶ outcomes      one that is lost is an outcome too, and the others go on

==============  ==================================================================
``tasks``       what engines and their callers agree on
``local``       threads of this process, or processes of which one may die
``ray``         plain tasks of a Ray cluster (extra ``ray``)
``dask``        tasks of a Dask cluster (extra ``dask``)
``blocks``      maps over blocks of a job: shared parts held once, poison blocks apart
``kept``        values whose arrays all processes of a machine map
``one_thread``  products of matrices whose last digits no number of cores changes
``choice``      which of them, by the words of the command line
==============  ==================================================================

Public::

    tasks       Engine, Outcome, Task, attempt
    local       run_processes, run_threads
    ray         run_ray
    dask        run_dask
    blocks      BlockOutcome, BlockTask, made_by, map_blocks
    kept        MappedValue, keep
    one_thread  one_thread
    choice      Runner, engine_of
"""
