"""Ask in words: a sentence becomes weights over what can be heard in songs.

::

    sentence ──read_sentence──▶ `Sentence`: terms (wanted, denied), facts, words not understood
    store    ──Hearing──▶ what is heard in each song, standardised over the library
    both     ──find_songs──▶ `DescribedSongs`: the best songs, and why
             ──wished_of───▶ `Wished`: what it adds to similar songs and playlists

What is heard are AudioSet's labels, by one matrix over the store's `embedding` (`labels`), the
network's own tags, the heads' scores, tempo and loudness. Words are known from a table
(``data/words.csv``) and from captions that musicians wrote (``data/captions.safetensors``).
"""
