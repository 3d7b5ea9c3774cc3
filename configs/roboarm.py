"""The robot arm of paper 1, section 4.1, with the log-likelihood loss: the first row of table 1.

python train_main.py --config=roboarm --workdir=runs/roboarm_log

32,000 pairs take about 9 minutes on two cores with bfloat16 units. Expected: 0.91 % of the image width by cells, 0.22 %
with sub-pixel decoding.

This is the paper's network with batch norm, which the paper does not mention and the first author's later code has:
with it all rows train at one rate, and the distance loss does more than find the nearest cell. The other rows of tables
1 and 2 change the loss, its gamma and the length of a label: `python -m benchmarks.roboarm`.
"""

from dense_labels.config import Config


def get_config() -> Config:
    config = Config()
    config.model.norm = "batch"
    config.train.batch_size = 8
    config.train.steps_per_epoch = 500
    config.train.num_epochs = 8
    config.train.learning_rate = 1e-3
    config.train.schedule, config.train.warmup_steps = "cosine", 200
    config.eval.head_images = 2_000
    return config
