"""Log-mel segments to backbone features, class scores and one vector per song.

::

    segments (T, 187, 96) ──backbone──▶ features: tags (T, 50), penultimate (T, 200), ...
                          ──heads─────▶ scores (T, 14)
                          ──statistics▶ vector (84,)

==================  ==============================================================
``weights``         the shipped networks: tags, licences, checksums
``backbone``        segments to features in ONNX Runtime; chooses the engine
``backbone_torch``  the same in torch: the readable reference, training, GPUs
``backbone_spec``   the user's spec of a network: front end, input, outputs
``onnx_file``       checks a file that may be an ONNX model before it is opened
``added``           networks that a user added: stored and found by name
``backbone_added``  runs an added network in ONNX Runtime
``networks``        the networks of a run: the shipped ones, or an added one
``batching``        shared by both engines: the contract, checks, batches
``head_inputs``     backbone outputs concatenated: the input of a head
``heads``           features to class scores; the shipped heads
``moods``           the tags that are moods, and their columns
``statistics``      a score series to six statistics per class
``reading``         scores in words: what a song is, or why that is left open
==================  ==============================================================

Public::

    weights        WEIGHTS, data_folder, weights_path
    backbone       load_backbone
    backbone_spec  read_spec, BackboneSpec
    added          AddedBackbone, added_names, backbones_folder, find_added, remove_added
    head_inputs    split_input, OUTPUT_WIDTHS
    heads          Head, Heads, default_heads, shipped_head, shipped_heads
    moods          MOODS, mood_columns
    statistics     moments, summarise
    reading        Reading, read_scores, read_means, voiced_share
"""
