"""The ``audiorec`` command: one thin file per command."""

from audiorec.runs.imports import forget_current_folder

forget_current_folder()  # before the first large import, in `audiorec_cli.main`
