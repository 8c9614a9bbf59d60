"""Who runs the shards: thin adapters over one function, `ShardTask.attempt`.

========  =====================================  ===================================
runner    where a shard runs                     a process that dies costs
========  =====================================  ===================================
local     threads of this process, each with     one song: an errors row
          one disposable child
ray       plain tasks of a Ray cluster           one retry of its shard, at most three
dask      joblib's Dask backend                  one retry of its shard, at most three
========  =====================================  ===================================

A song that crashes, hangs or eats memory never gets as far as the engine: each shard
handles its songs in disposable children (`audiorec.workers`).
"""
