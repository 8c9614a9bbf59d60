"""Made-up worlds of listening over real songs, to try every command without a log.

::

    songs ──tastes──▶ places, people, liking (U, S) ──plays──▶ events ──world──▶ files

==========  ==================================================================
``tastes``  where songs lie in taste, and what people like
``plays``   sessions: which songs, how far, and what people press
``world``   the above joined: spec → world → a folder that says what it is
==========  ==================================================================

Public::

    world   NOTE, World, WorldSpec, simulate, simulate_world
"""
