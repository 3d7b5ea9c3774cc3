"""Stable descriptors with a confidence (paper 2): pictures of one kind of object, a trunk trained on ImageNet.

python train_main.py --config=introspection --workdir=runs/introspection \
    --config.data.dir=IMAGES --config.data.annotations=TRAIN.json --config.data.annotations_test=TEST.json

The trunk is one for CPUs and phones. --config.model.weights=FILE.h5 reads its weights from a file instead of
downloading them, --config.data.name=folder takes any folder of pictures, and --config.model.confidence=false is the
paper's "w/o conf.". `python eval_main.py --workdir=runs/introspection --heads=heatmaps` fits the head for key points of
section 4.3.

Training goes on until the loss stops falling, for at most 80,000 pairs. After 20,000 pairs of faces
(config.train.num_epochs=5, half an hour on two cores), landmarks of 600 test pictures are found in other pictures with
an error of 3.3 % of the width, and a PCK@.1 of 0.96.
"""

from dense_labels.config import Config


def get_config() -> Config:
    config = Config()
    config.data.name, config.data.dir = "coco", ""
    config.data.size = (160, 160)
    config.views.warp, config.views.border, config.views.flip = "affine", "mirror", True
    config.views.colour, config.views.colour_strength = "ssd", 1.5
    config.model.name, config.model.label_size = "introspection", 64
    config.model.trunk, config.model.weights, config.model.stride = "mobilenet_v2", "imagenet", 8
    config.loss.name = "introspection"
    config.loss.tau2 = 20.0  # the paper's 30 of 240 pixels
    config.train.optimizer, config.train.learning_rate, config.train.momentum = "adagrad_momentum", 1e-3, 0.9
    config.train.weight_decay = 5e-4
    config.train.batch_size = 8
    config.train.steps_per_epoch, config.train.num_epochs, config.train.patience = 500, 20, 3
    config.eval.heads = ("nearest", "regress")
    return config
