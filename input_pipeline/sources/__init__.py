"""Sources of pairs and landmarks: still pictures, shards, video and simulations."""
