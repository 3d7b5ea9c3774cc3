"""Small drawn pictures of one kind of object, with landmarks, for tests that need files."""

import numpy as np
from PIL import Image, ImageDraw

NAMES = ("left_eye", "right_eye", "mouth")


def face(seed: int, side: int) -> tuple[Image.Image, np.ndarray]:
    """Draws a face somewhere in a square picture; returns it and its landmarks [3, 2], (x, y) in continuous pixels."""
    random = np.random.default_rng(seed)
    picture = Image.new("RGB", (side, side), tuple(random.integers(150, 256, 3).tolist()))
    draw = ImageDraw.Draw(picture)
    centre, radius = side * random.uniform(0.42, 0.58, 2), side * random.uniform(0.28, 0.36)
    draw.ellipse([*(centre - radius), *(centre + radius)], fill=(225, 175, 140))
    points = centre + radius * np.array([[-0.4, -0.3], [0.4, -0.3], [0.0, 0.5]])
    for point, colour in zip(points, ((20, 60, 160), (30, 120, 60), (170, 30, 40))):
        draw.ellipse([*(point - radius / 5), *(point + radius / 5)], fill=colour)
    return picture, points + 0.5


def faces(folder, count: int = 12, side: int = 32, first: int = 0) -> dict[str, np.ndarray]:
    """Writes pictures into a folder; returns the landmarks of each by its file name."""
    folder.mkdir(parents=True, exist_ok=True)
    landmarks = {}
    for seed in range(first, first + count):
        picture, landmarks[f"{seed:02}.png"] = face(seed, side)
        picture.save(folder / f"{seed:02}.png")
    return landmarks


def write_csv(path, landmarks: dict[str, np.ndarray]) -> None:
    """Writes landmarks as a table."""
    header = ",".join(["file", *(f"{name}_{axis}" for name in NAMES for axis in "xy")])
    lines = [",".join([name, *(f"{value:.2f}" for value in points.ravel())]) for name, points in landmarks.items()]
    path.write_text("\n".join([header, *lines]))
