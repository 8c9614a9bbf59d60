"""cold_start."""
