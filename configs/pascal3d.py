"""Key points of twelve classes of objects (paper 2, section 4.3): PASCAL3D+, each object cut out by its box.

python train_main.py --config=pascal3d --config.data.dir=PASCAL3D+_release1.1 --workdir=runs/pascal3d

PASCAL3D+_release1.1 is the folder as published, with Annotations/ and Images/. For a GPU; not run here. The paper
trains its features on pictures of ImageNet of the same classes, and shows its few-shot figures only as curves.
"""

from configs import introspection
from dense_labels.config import Config


def get_config() -> Config:
    config = introspection.get_config()
    config.data.name = "pascal3d"
    config.data.size = (240, 240)
    config.model.trunk, config.model.stride = "resnet50", 16
    config.loss.tau2 = 30.0
    return config
