"""Images and labels: one file per data set."""
