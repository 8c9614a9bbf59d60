"""How long work is run and watched: processes that may die, progress, and what is told of it.

::

    items ──workers──▶ answers ──report──▶ `RunProgress` after each, `RunReport` at the end
                                           ──log, prometheus──▶ lines of JSON, a textfile
    job ──record──▶ a JSON beside its output ──history──▶ the runs of a folder, compared
             └──unlike, drift──▶ warnings

==============  ==================================================================
``imports``     where modules may come from: never from the current folder
``workers``     disposable child processes: one item in, one answer out
``stopwatch``   CPU seconds by stage
``report``      how far a run is, and what came of it
``log``         a run as lines of JSON, one an event
``prometheus``  a run as a textfile for the node exporter
``record``      a job as a JSON beside its output, with the runs before it
``history``     the runs of a folder: found, named, compared
``unlike``      what is worth a warning: how a run is unlike those before
``drift``       whether songs score as those of the last run did
==============  ==================================================================

Public::

    imports      collect_seldom, forget_current_folder
    workers      Answer, Limits, ONE_THREAD, Workers
    report       RunProgress, RunReport, SongOutcome, Stopped
    log          RunLog
    prometheus   read_metrics, write_job_metrics, write_metrics
    record       JobRun, command_line, kept_arguments, moment, read_runs, record_of, runs_before,
                 versions_here, write_run
    history      RunDifference, compare_runs, find_run, find_runs, runs_of
    unlike       unlike
"""
