"""youtube-dnn: embed a user from a history of plays or likes, and a profile.

::

    `RecallData` ──channel──▶ sound, profiles, and each play with those before it
        ──trainer──▶ best state of the network      ``learning.fit_refit`` is the loop
    history, profile ──model──▶ user ──channel──▶ songs near each user
"""
