"""The nightly job: train, retrieve, fuse, report, export; resumable, redoes only what changed.

::

    recall.toml ──plan──▶ `NightlyPlan` ──job──▶ models, candidates, a list for every user
    fused lists ──report──▶ a page about them
    OUT/dt=DAY/ ──promotion──▶ is it worse than what is served? ──current──▶ the day that is served
    the same for one day, or on URIs ──places──▶ the same
"""
