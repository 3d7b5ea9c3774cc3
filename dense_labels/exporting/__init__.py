"""SavedModels: what they answer, and how they are written, checked and described."""
