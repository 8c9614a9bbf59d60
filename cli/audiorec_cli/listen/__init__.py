"""Commands that find songs to listen to, and serve them."""
