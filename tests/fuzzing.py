"""How the fuzzers of `tests/hostile` run: a number of cases, or for as long as they are given.

``AUDIOREC_FUZZ_MINUTES=30 pytest -n 0 tests/hostile/test_fuzz_songs.py`` goes on with new cases for
half an hour. Hypothesis looks for the smallest case of what it finds, and prints it.
"""

import os
import time
from itertools import count

import hypothesis

MINUTES = float(os.environ.get("AUDIOREC_FUZZ_MINUTES", "0"))


def fuzz(check, *strategies, cases):
    """Check so many cases that Hypothesis draws, and further ones while there is time."""
    options = hypothesis.settings(
        max_examples=cases, deadline=None, database=None, suppress_health_check=list(CHECKS)
    )
    end = time.monotonic() + 60 * MINUTES
    for number in count():
        hypothesis.seed(number)(options(hypothesis.given(*strategies)(check)))()
        if time.monotonic() >= end:
            return


CHECKS = (hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large)
