"""Pictures of models, data and results: what one shows is made first, and drawn by another function."""
