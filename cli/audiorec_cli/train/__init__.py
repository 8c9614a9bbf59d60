"""Commands for heads, networks, many machines, indexes, records and settings."""
