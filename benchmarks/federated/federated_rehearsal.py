"""`rehearse`: the rehearsal of two parties on one machine, which lies with the examples."""

import importlib.util
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location(
    "rehearse", Path(__file__).parents[2] / "examples/federated/rehearse.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
rehearse = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(rehearse)
