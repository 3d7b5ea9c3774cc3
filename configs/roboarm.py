"""The robot arm of section 4.1 with L_log: the first row of table 1.

python train_main.py --config=configs/roboarm.py --workdir=runs/roboarm/log

32,000 pairs, about 9 minutes on two cores with bfloat16 units.
Expected: 0.91 % of image width by cells, 0.22 % sub-pixel.
The paper's network with batch norm, which it does not mention and its first author's later code has:
with it all rows train at one rate, and the distance loss finds more than the nearest cell.
The other rows of tables 1 and 2 change the loss, its gamma and the length of a label, as
`python -m benchmarks.roboarm` does.
"""

from dense_labels.config import Config


def get_config():
    config = Config()
    config.model.norm = "batch"
    config.train.batch_size = 8
    config.train.steps_per_epoch = 500
    config.train.num_epochs = 8
    config.train.learning_rate = 1e-3
    config.train.schedule, config.train.warmup_steps = "cosine", 200
    config.eval.head_images = 2_000
    return config
