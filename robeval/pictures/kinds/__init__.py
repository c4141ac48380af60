"""One kind of picture per file."""
