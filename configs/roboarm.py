"""The robot arm of section 4.1 with L_log: the first row of table 1.

python train_main.py --config=configs/roboarm.py --workdir=runs/roboarm/log

24,000 pairs, about 6 minutes on two cores with bfloat16 units (--config.train.precision=mixed_bfloat16).
Expected: 0.92 % of image width by cells, 0.25 % sub-pixel.
The other rows of tables 1 and 2 change the loss, its gamma, the length of a label and the rate, as
`python -m benchmarks.roboarm` does.
"""

from dense_labels.config import Config


def get_config():
    config = Config()
    config.train.batch_size = 8
    config.train.steps_per_epoch = 500
    config.train.num_epochs = 6
    config.train.learning_rate = 1e-3
    config.train.schedule, config.train.warmup_steps = "cosine", 200
    return config
