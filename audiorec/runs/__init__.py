"""Run long jobs, here or on a cluster, and monitor them: progress, logs, metrics and records.

::

    tasks ──an `Engine`──▶ outcomes        a lost task yields one too; the others continue
    items ──workers──▶ answers ──report──▶ `RunProgress` after each, `RunReport` at the end
                                           ──log, prometheus──▶ lines of JSON, a textfile
    job ──record──▶ a JSON beside its output ──history──▶ the runs of a folder, compared
             └──warn, drift──▶ warnings
"""
