"""Cat heads with nine landmarks (paper 1, section 4.3).

python train_main.py --config=cats --config.data.dir=CATS --workdir=runs/cats

CATS holds the folders CAT_00 to CAT_06 of pictures, each picture with its .cat file. Takes as long as faces.py; not run
here. The paper shows cats only in pictures.
"""

from configs import faces
from dense_labels.config import Config


def get_config() -> Config:
    config = faces.get_config()
    config.data.name = "cats"
    return config
