"""The ``audiorec`` command: one file a command, and what they share.

    main ──▶ a command ──▶ one call of audiorec ──▶ stdout: data, stderr: remarks, an exit code
                 └──▶ shared: options, stores, seeds, progress, console

A command's function is its page of help: docstring, examples, options (see `shared.pages`).
Nothing of audiorec but errors and visible text is imported before a command runs.
"""

from audiorec.runs.imports import forget_current_folder, start_lightly

start_lightly()
forget_current_folder()  # before the first large import, in `audiorec_cli.main`
