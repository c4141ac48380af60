"""Tables as CSV, Markdown and on the terminal."""
