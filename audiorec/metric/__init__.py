"""Users and songs in one space: the user model, the metric model, and their bundles."""
