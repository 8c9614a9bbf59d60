"""youtube-dnn: a history of plays or likes, and a profile, become one embedding.

::

    `RecallData` ──channel──▶ sound, profiles, and each play with those before it
        ──trainer──▶ network in its best state      ``learning.fit_refit`` is the loop
    history, profile ──model──▶ user ──channel──▶ songs near each user

============  ====================================================================
``channel``   the channel of recall: what is learnt from, and what is answered
``recipe``    everything but the data that decides what a model becomes
``examples``  plays as examples: held out, of an epoch, of a batch
``network``   the model in torch, for training
``trainer``   data, recipe → the trained model
``model``     the same in numpy: embeddings of users
``placing``   embeddings of songs that nobody played, by sound and artist
============  ====================================================================

Public::

    channel  YoutubeDnn
    recipe   YoutubeDnnRecipe
"""
