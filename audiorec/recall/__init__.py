"""Candidates from embeddings and listening: which songs for whom, and for whom which songs."""
