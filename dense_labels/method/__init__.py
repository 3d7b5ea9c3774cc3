"""The method of both papers: geometry, matching, losses, the label sphere; of ours it imports `compat` alone."""
