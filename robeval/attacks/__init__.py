"""Attacks: one per file; files never import each other."""
