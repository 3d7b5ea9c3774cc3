"""The robot arm of section 4.1 with L_log: the first row of table 1.

python train_main.py --config=configs/roboarm.py --workdir=runs/roboarm/log

The other rows of tables 1 and 2 change two keys, as `python -m benchmarks.roboarm` does:
--config.loss.name=dist --config.loss.gamma=1 (or 0.5) --config.model.label_size=2 (or 5, 20).
"""

from dense_labels.config import Config


def get_config():
    config = Config()
    config.train.batch_size = 8
    config.train.steps_per_epoch = 500
    config.train.num_epochs = 8
    # Without these three the distance loss ends in labels that are all alike, or too long to tell half a cell.
    config.train.learning_rate = 7e-4
    config.train.schedule, config.train.warmup_steps = "cosine", 400
    config.train.weight_decay = 4.0
    return config
