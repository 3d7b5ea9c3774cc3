"""A small robot arm, trained in a few minutes on two fast CPU cores.

make demo

Takes about 4 minutes of training on two cores with bfloat16 units, half an hour and more on slow ones without.
Expected: 0.33 % of the image width with sub-pixel decoding, 0.99 % by cells.
"""

from dense_labels.config import Config


def get_config() -> Config:
    config = Config()
    config.data.dir = "runs/data"
    config.data.num_pairs = 2_400
    config.model.norm = "batch"
    config.train.batch_size = 8
    config.train.num_epochs = 8
    config.train.schedule = "cosine"
    config.eval.head_images = 1_000
    return config
