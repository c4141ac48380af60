"""Suites: TOML files that say what a model is asked."""
