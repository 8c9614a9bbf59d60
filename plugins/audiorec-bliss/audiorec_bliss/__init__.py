"""Answer Lyrion's plugin BlissMixer: as an API of ``audiorec serve``, and as its own program.

``api`` has the routes, an entry point of ``audiorec.apis``; ``mixer`` is ``bliss-mixer``.
"""
