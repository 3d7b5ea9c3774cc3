"""The method of both papers: geometry, matching, losses, the label sphere; it imports nothing else of ours."""
