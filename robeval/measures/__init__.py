"""What can be measured beside robust accuracy: one measure per file."""
