"""The preview shows what training would see."""

import numpy as np
from PIL import Image

from tests import commands


def test_a_preview_shows_some_pairs(tmp_path):
    folder, output = tmp_path / "pictures", tmp_path / "preview.png"
    folder.mkdir()
    for index in range(3):
        coarse = np.random.default_rng(index).integers(0, 256, [4, 5, 3], np.uint8)
        Image.fromarray(coarse).resize((40, 32)).save(folder / f"{index}.png")
    settings = [f"--config.data.dir={folder}", f"--config.data.cache_dir={tmp_path / 'cache'}"]
    ran = commands.run("input_pipeline/preview.py", "--config=folder", *settings, f"--output={output}", "--pairs=2")
    assert ran.returncode == 0, ran.stderr
    assert "3 pictures of 40 x 32" in ran.stdout and ran.stdout.endswith(f"2 pairs: {output}\n")
    shown = np.asarray(Image.open(output))
    assert shown.ndim == 3 and np.ptp(shown) > 200
