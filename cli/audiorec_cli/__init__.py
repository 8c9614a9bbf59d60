"""The ``audiorec`` command: one thin file per command."""
