"""Key points of twelve classes of objects (paper 2, section 4.3): PASCAL3D+, objects cut out by their boxes.

python train_main.py --config=configs/pascal3d.py --config.data.dir=PASCAL3D+_release1.1 --workdir=runs/pascal3d

For a GPU. Not run here. (The paper trains its features on pictures of ImageNet of the same classes, and shows its
few-shot figures as curves alone.)
"""

from configs import introspection


def get_config():
    config = introspection.get_config()
    config.data.name = "pascal3d"
    config.data.size = (240, 240)
    config.model.trunk, config.model.stride = "resnet50", 16
    config.loss.tau2 = 30.0
    return config
