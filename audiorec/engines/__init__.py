"""Execution engines: run each task exactly once, locally or on a cluster, in any order.

::

    tasks ──an engine──▶ outcomes      a lost task yields an outcome too; the others continue
"""

from audiorec.exports import lazy

__getattr__, __dir__ = lazy(__name__)
