"""The textured sphere of section 4.2 with DILATIONS and L_dist, from neighbouring frames alone.

python train_main.py --config=configs/sphere.py --workdir=runs/sphere/dilations

32,000 pairs, 20 minutes on two cores with bfloat16 units. Expected, median over test frames: points are found in any
other frame 6.5 degrees off, and places follow from labels to 3.8 degrees. The network has batch norm and leaky ReLU, as
its first author's later code has it; SIMPLE beside it, an untrained network and chance: `python -m benchmarks.sphere`.
"""

from dense_labels.config import Config


def get_config():
    config = Config()
    config.data.name = "sphere"
    config.data.num_pairs = 12_000
    config.model.name = "dilations"
    config.model.norm, config.model.activation = "batch", "leaky_relu"
    config.loss.name, config.loss.gamma = "dist", 0.5
    config.train.batch_size = 8
    config.train.steps_per_epoch = 1_000
    config.train.num_epochs = 4
    config.train.schedule, config.train.warmup_steps = "cosine", 200
    return config
