"""The record of finished cells: one whole file each."""
