"""Files on disk: pictures and videos decoded, resized pictures and flow kept, shards, digests of predictions."""
