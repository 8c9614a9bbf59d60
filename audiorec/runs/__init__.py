"""How long work is run and watched: processes that may die, progress, and what is told of it.

::

    items ──workers──▶ answers ──report──▶ `RunProgress` after each, `RunReport` at the end
                                           ──log, prometheus──▶ lines of JSON, a textfile

==============  ==================================================================
``imports``     where modules may come from: never from the current folder
``workers``     disposable child processes: one item in, one answer out
``stopwatch``   CPU seconds by stage
``report``      how far a run is, and what came of it
``log``         a run as lines of JSON, one an event
``prometheus``  a run as a textfile for the node exporter
==============  ==================================================================

Public::

    imports      forget_current_folder
    workers      Answer, Limits, ONE_THREAD, Workers
    report       RunProgress, RunReport, SongOutcome, Stopped
    log          RunLog
    prometheus   read_metrics, write_metrics
"""
