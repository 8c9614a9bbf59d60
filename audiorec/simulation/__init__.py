"""Simulated listening over real songs, to try every command without a listening log.

::

    songs ──tastes──▶ places, people, liking (U, S) ──plays──▶ events ──world──▶ files

==========  ==================================================================
``tastes``  positions of songs in taste space, and users' affinities
``plays``   sessions: songs, played ratios, likes and other events
``world``   joins the above: spec → world → a folder with its ground truth
==========  ==================================================================

Public::

    world   NOTE, World, WorldSpec, simulate, simulate_world
"""
