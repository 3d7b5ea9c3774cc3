"""SavedModels: what they answer, how they are written and described."""
