"""From a plan to verdicts."""
