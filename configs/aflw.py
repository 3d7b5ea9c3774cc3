"""Faces of AFLW (paper 1, section 4.3): the network of configs/celeba.py, trained further without any landmark.

python train_main.py --config=aflw --config.data.dir=AFLW --config.train.init_from=runs/celeba --workdir=runs/aflw

AFLW holds aflw_cropped/facedata_cropped.csv with its crops beside it, and MTFL/testing.txt with AFLW/ beside it. Trains
on 10,122 faces and tests on 2,995. For a GPU, as celeba.py; not run here. The paper reports 8.8 % of the eye distance
by regression.
"""

from configs import celeba
from dense_labels.config import Config


def get_config() -> Config:
    config = celeba.get_config()
    config.data.name = "aflw"
    config.train.num_epochs, config.train.decay_epochs = 50, (30, 40)
    return config
