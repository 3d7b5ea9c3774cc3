"""Cat heads, section 4.3: nine landmarks.

python train_main.py --config=configs/cats.py --config.data.dir=CATS --workdir=runs/cats

CATS holds the folders CAT_00 to CAT_06 of pictures, each with its .cat file. As long as faces.py. Not run here; the
paper shows cats in pictures alone.
"""

from configs import faces


def get_config():
    config = faces.get_config()
    config.data.name = "cats"
    return config
