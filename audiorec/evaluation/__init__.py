"""Figures about what audiorec computes: how often it is right, and how sure one can be."""
