"""Which files are pictures, by the endings of their names."""

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def is_picture(path: str) -> bool:
    """Says whether the name of a file ends as those of pictures do, in letters of either case."""
    return path.lower().endswith(EXTENSIONS)
