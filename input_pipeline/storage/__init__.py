"""Pictures and flow on disk: decoding, resized pictures, optical flow."""
