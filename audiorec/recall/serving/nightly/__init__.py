"""The nightly job: train, retrieve, fuse, report, export; resumable, redoes only what changed.

::

    recall.toml ──plan──▶ `NightlyPlan` ──job──▶ models, candidates, fused lists, exposures
    fused lists ──report──▶ a page about them
    the same for one day, or on URIs ──places──▶ the same

==========  ======================================================================
``plan``    the settings of the nightly job
``job``     its steps, and what each depends on
``inputs``  its inputs, each read at most once
``places``  its inputs and outputs: paths or URIs, all data or one day
``report``  a page about the lists of a run
==========  ======================================================================

Public::

    plan    NightlyPlan
    job     NightlyJob, Step
    places  Night, open_night
    report  report_of
"""
