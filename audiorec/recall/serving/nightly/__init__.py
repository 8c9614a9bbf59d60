"""The nightly job: train, retrieve, fuse, report, export; resumable, redoes only what changed.

::

    recall.toml ──plan──▶ `NightlyPlan` ──job──▶ models, candidates, a list for every user
    fused lists ──report──▶ a page about them
    the same for one day, or on URIs ──places──▶ the same

==========  ============================================================================
``plan``    the settings of the nightly job
``job``     its steps, and what each depends on
``state``   the names of its steps, and the files that say what is done
``inputs``  its inputs, each read at most once
``judged``  the last night's lists, judged by what users have played since
``shown``   places of earlier lists that count as shown, if no impressions are given
``places``  its inputs and outputs: paths or URIs, all data or one day
``report``  a page about the lists of a run
==========  ============================================================================

Public::

    plan    NightlyPlan, file_stem
    job     NightlyJob
    state   Step
    judged  fused_below
    places  Night, open_night
    report  report_of
"""
