"""Views of a picture: warps, point maps, pairs and colours."""
