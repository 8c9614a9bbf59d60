"""Ways to propose songs: which songs for whom, and for whom which songs.

==============  =====================================================================
``audio``       the metric model: a song's sound lies near the users who like it
``cold_start``  batch jobs for songs that nobody has heard yet
``sequence``    models that read what a user heard: the user model
==============  =====================================================================

Families do not import each other.
"""
