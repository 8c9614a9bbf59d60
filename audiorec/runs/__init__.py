"""Run long jobs and monitor them: worker processes, progress, logs, metrics and records.

::

    items ──workers──▶ answers ──report──▶ `RunProgress` after each, `RunReport` at the end
                                           ──log, prometheus──▶ lines of JSON, a textfile
    job ──record──▶ a JSON beside its output ──history──▶ the runs of a folder, compared
             └──warn, drift──▶ warnings

===============  ============================================================
``imports``      where modules may be imported from: never the current folder
``workers``      disposable child processes: one item in, one answer out
``ray_cluster``  connect to Ray, or start it on this machine
``stopwatch``    CPU seconds by stage
``report``       progress and result of a run
``log``          a run as lines of JSON, one per event
``prometheus``   a run as a textfile for the node exporter
``record``       a job as a JSON beside its output, with the runs before it
``history``      find, name and compare the runs of a folder
``warn``         warnings: how a run differs from those before
``drift``        whether scores are distributed as in the last run
===============  ============================================================

Public::

    imports      collect_garbage_rarely, forget_current_folder
    workers      Answer, Limits, ONE_THREAD, Workers
    ray_cluster  ray_cluster
    report       RunProgress, RunReport, SongOutcome, Stopped
    log          RunLog
    prometheus   read_metrics, write_job_metrics, write_metrics
    record       JobRun, command_line, safe_arguments, timestamp, read_runs, record_of, runs_before,
                 versions_here, write_run
    history      RunDifference, compare_runs, find_run, find_runs, runs_of
    warn         run_warnings
"""
