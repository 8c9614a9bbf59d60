"""Simulated listening over real songs, to try every command without a listening log.

::

    songs ──tastes──▶ places, people, liking (U, S) ──plays──▶ events ──world──▶ files
"""
