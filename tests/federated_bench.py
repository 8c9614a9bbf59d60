"""The attacks of ``benchmarks/federated_attacks.py``, for tests."""

import importlib.util
import sys
from pathlib import Path

NAME = "federated_attacks"
SPEC = importlib.util.spec_from_file_location(
    NAME, Path(__file__).parents[1] / f"benchmarks/{NAME}.py"
)
attacks = importlib.util.module_from_spec(SPEC)
sys.modules[NAME] = attacks
SPEC.loader.exec_module(attacks)
