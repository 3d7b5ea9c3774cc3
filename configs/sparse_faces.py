"""Sparse landmarks of faces (ICCV 2017), which both papers compare with: as configs/faces.py, on the same pictures.

python train_main.py --config=sparse_faces --workdir=runs/sparse_faces \
    --config.data.dir=IMAGES --config.data.annotations=TRAIN.json --config.data.annotations_test=TEST.json

The network is SIMPLE and finds ten landmarks by itself; --config.model.label_size=30 has thirty. Trained on 40,000
pairs (--config.train.num_epochs=5, 12 minutes on two cores with bfloat16 units) of 3,416 photographs of 128 px and
tested on 600: 12.3 % of the eye distance (the mean shape has 18.2 %). All 160,000 pairs were not tried. Paper 1 quotes
6.7 % for it on other, aligned faces.
"""

from configs import faces
from dense_labels.config import Config


def get_config() -> Config:
    config = faces.get_config()
    config.model.name, config.model.label_size = "sparse", 10
    config.loss.name, config.loss.diversity, config.loss.patch = "sparse", 500.0, 3
    config.eval.heads = ("regress_own",)
    return config
