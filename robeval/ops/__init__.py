"""Pure functions on tensors that attacks and training share."""
