"""audiorec: a folder of songs becomes vectors that a music recommender can use."""
