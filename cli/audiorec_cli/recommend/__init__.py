"""Commands that learn from listening and recommend: logs, channels, lists, federation."""
