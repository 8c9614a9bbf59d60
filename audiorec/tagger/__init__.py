"""Log-mel segments to what networks say of them, to class scores, to one vector a song.

::

    segments (T, 187, 96) ──backbone──▶ features: tags (T, 50), penultimate (T, 200), ...
                          ──heads─────▶ scores (T, 14)
                          ──statistics▶ vector (84,)

==================  ==============================================================
``weights``         the shipped networks: tags, licences, checksums
``backbone``        segments to features in ONNX Runtime; chooses the engine
``backbone_torch``  the same in torch: the readable reference, training, GPUs
``stated``          a network as its user states it: front end, input, outputs
``onnx_file``       a file that may be a model, looked at before it is opened
``added``           networks that a user added: kept, found by name
``backbone_added``  one of them in ONNX Runtime
``networks``        which networks hear a song: the shipped ones, or an added one
``batching``        what both engines do alike: the contract, checks, batches
``head_inputs``     backbone outputs side by side: what a head reads
``heads``           features to class scores; the heads that are shipped
``moods``           which tags are moods, and the columns that they go to
``statistics``      a score series to six statistics a class
``reading``         scores in words: what a song is, and when nothing is said
==================  ==============================================================

Public::

    weights      WEIGHTS, data_folder, weights_path
    backbone     load_backbone
    stated       read_spec, StatedBackbone
    added        AddedBackbone, added_names, backbones_folder, find_added, remove_added
    head_inputs  split_input, OUTPUT_WIDTHS
    heads        Head, Heads, default_heads, shipped_head, shipped_heads
    moods        MOODS, mood_columns
    statistics   moments, summarize
    reading      Reading, read_scores, read_means, voiced_share
"""
