"""Channels that read a user's history as a sequence."""
