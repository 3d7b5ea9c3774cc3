"""The textured sphere of paper 1, section 4.2, with DILATIONS and the distance loss, from neighbouring frames alone.

python train_main.py --config=sphere --workdir=runs/sphere_dilations

32,000 pairs take 20 minutes on two cores with bfloat16 units. Expected, as medians over the test frames: points are
found in any other frame with an error of 6.5 degrees, and places follow from labels with an error of 3.8 degrees. The
network has batch norm and leaky ReLU, as in the first author's later code. `python -m benchmarks.sphere` compares it
with SIMPLE, an untrained network and chance.
"""

from dense_labels.config import Config


def get_config() -> Config:
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
