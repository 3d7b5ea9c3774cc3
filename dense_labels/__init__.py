"""The method: geometry, matching, losses, metrics, training, evaluation, pictures and export."""
