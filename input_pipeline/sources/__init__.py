"""Sources of pairs and landmarks: still pictures, video and simulations."""
