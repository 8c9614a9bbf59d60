"""Engines run shards somewhere and answer each exactly once, in any order.

::

    shard_tasks ──▶ tasks ──an engine──▶ outcomes ──gather──▶ `ShardsReport`

=========  ==================================================================
``tasks``  a shard to send, its outcome, their sum; threads of this machine
``ray``    plain tasks of a Ray cluster (extra ``ray``)
``dask``   tasks of a Dask cluster (extra ``dask``)
=========  ==================================================================

Public::

    tasks    ShardTask, ShardOutcome, ShardsReport, gather, run_local, shard_tasks
    ray      run_ray
    dask     run_dask
"""
