"""The metric model joined with stores, logs and users: train it, embed songs, judge it.

features, interactions, users  ──training.train_metric──▶     model/
any audio, or features         ──songs.embed_*──▶             embeddings.parquet
model, features, interactions  ──judging.evaluate_metric──▶   figures beside baselines
"""
