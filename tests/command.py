"""Run the real command in this process, as the CLI tests do."""

import sys

from audiorec_cli.main import main


def run_command(monkeypatch, capture, *arguments):
    """Return exit code, stdout and stderr; `capture` is capsys, or capfd to hear children."""
    monkeypatch.setattr(sys, "argv", ["audiorec", *map(str, arguments)])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    captured = capture.readouterr()
    return code, captured.out, captured.err
