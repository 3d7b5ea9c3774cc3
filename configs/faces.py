"""Faces in COCO key-point files (paper 1, section 4.3): training sees only the pictures, heads the landmarks.

python train_main.py --config=faces --workdir=runs/faces \
    --config.data.dir=IMAGES --config.data.annotations=TRAIN.json --config.data.annotations_test=TEST.json

For loose crops of faces. Sizes, warps and colours are those that the first author's later code uses. 160,000 pairs take
about 40 minutes on two cores with bfloat16 units. Expected, trained on 3,416 photographs of 128 px and tested on 600:
11.3 % of the eye distance by the nearest cell, 7.4 % by regression (the mean shape has 18.2 %).
"""

from configs import folder
from dense_labels.config import Config


def get_config() -> Config:
    config = folder.get_config()
    config.data.name = "coco"
    config.data.size, config.data.crop = (100, 100), 15
    config.model.label_size, config.loss.exchange = 3, False
    config.views.flip = True
    config.train.batch_size = 16
    config.train.num_epochs = 20
    return config
