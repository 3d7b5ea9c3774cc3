"""Faces in COCO key-point files (section 4.3): pictures alone in training, landmarks for the heads.

python train_main.py --config=configs/faces.py --workdir=runs/faces \
    --config.data.dir=IMAGES --config.data.annotations=TRAIN.json --config.data.annotations_test=TEST.json

For loose crops of faces; the sizes, warps and colours are those of the first author's later code. 160,000 pairs, about
40 minutes on two cores with bfloat16 units. Expected, trained on 3,416 photographs of 128 px and tested on 600: 11.3 %
of the eye distance by the nearest cell, 7.4 % by regression (the mean shape has 18.2 %).
"""

from configs import folder


def get_config():
    config = folder.get_config()
    config.data.name = "coco"
    config.data.size, config.data.crop = (100, 100), 15
    config.views.flip = True
    config.train.batch_size = 16
    config.train.num_epochs = 20
    return config
