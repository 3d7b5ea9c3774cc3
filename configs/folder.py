"""Your own folder of pictures of one kind of object.

python train_main.py --config=folder --config.data.dir=PICTURES --workdir=runs/mine

80,000 pairs take an hour and a half on two cores with bfloat16 units where pictures are 4 to 3, over two hours where
they are square. The network sees whole pictures. Where there is room around the objects, set config.data.crop: warps
then bring in more of the picture instead of repeating its border.

Labels are longer than paper 1 has them and are exchanged, for they carry over to other objects much better.
"""

from dense_labels.config import Config


def get_config() -> Config:
    config = Config()
    config.data.name, config.data.dir = "folder", ""
    config.model.name, config.model.norm, config.model.activation = "dilations", "batch", "leaky_relu"
    config.model.mean, config.model.std = (0.5084, 0.4224, 0.3769), (0.2599, 0.2371, 0.2323)
    config.model.label_size, config.loss.exchange = 64, True
    config.loss.name, config.loss.gamma = "dist", 0.5
    config.train.batch_size = 0
    config.train.steps_per_epoch, config.train.num_epochs = 500, 10
    config.train.schedule, config.train.warmup_steps = "cosine", 200
    config.eval.heads = ("nearest", "regress", "regress_each")
    return config
