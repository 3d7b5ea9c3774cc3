"""Files on disk: pictures decoded, resized pictures and optical flow kept."""
