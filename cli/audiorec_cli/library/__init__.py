"""Commands of a library: extract songs, describe, label, draw, check and export a store."""
