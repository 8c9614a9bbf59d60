"""youtube_dnn."""
