"""Faces in COCO key-point files (section 4.3): pictures alone in training, landmarks for the heads.

python train_main.py --config=configs/faces.py --workdir=runs/faces \
    --config.data.dir=IMAGES --config.data.annotations=TRAIN.json --config.data.annotations_test=TEST.json

For loose crops of faces. The sizes, warps and colours are those of the first author's later code.
"""

from configs import folder


def get_config():
    config = folder.get_config()
    config.data.name = "coco"
    config.data.size, config.data.crop = (100, 100), 15
    config.train.batch_size = 16
    return config
