"""Your own folder of pictures and a larger network: an hourglass, with labels of 64 numbers and exchange. For a GPU.

python train_main.py --config=hourglass --config.data.dir=PICTURES --workdir=runs/mine

A pair of views of 128 x 128 pixels (`--config.data.size="(128, 128)"`; unless it is set, views have at most 100 pixels
along a side) takes about 35 GFLOP, 14 of them in the network. So the 240,000 pairs take an hour at 2.3 TFLOP a second,
which small GPUs reach. It was not tried on one. After 20,000 pairs of faces it is behind the network of folder.py
(docs/papers.md): it is for a long training.
"""

from configs import folder
from dense_labels.config import Config


def get_config() -> Config:
    config = folder.get_config()
    config.model.name, config.model.width = "hourglass", 128
    config.train.num_epochs = 30
    return config
