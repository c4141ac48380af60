"""Training the baseline models."""
