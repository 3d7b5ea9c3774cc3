"""Region matching of the second paper, which only its benchmark uses."""
