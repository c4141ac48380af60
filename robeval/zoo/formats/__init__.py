"""Formats of files of weights: one format, one file. Nothing in a file is ever executed."""
