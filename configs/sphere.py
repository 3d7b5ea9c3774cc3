"""The textured sphere of section 4.2.

python train_main.py --config=configs/sphere.py --workdir=runs/sphere/dilations
"""

from dense_labels.config import Config


def get_config():
    config = Config()
    config.data.name = "sphere"
    config.data.num_pairs = 12_000
    config.model.name, config.model.norm, config.model.activation = "dilations", "batch", "leaky_relu"
    config.train.batch_size = 8
    config.train.steps_per_epoch = 500
    config.train.num_epochs = 20
    config.train.learning_rate = 1e-3
    config.train.schedule, config.train.warmup_steps = "cosine", 200
    return config
