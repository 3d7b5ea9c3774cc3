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
    config.train.num_epochs = 7
    # At 1e-3 the log-likelihood learns faster, but the distance loss ends in labels that are all alike.
    config.train.learning_rate = 4e-4
    config.train.schedule, config.train.warmup_steps = "cosine", 200
    return config
