"""AFLW, section 4.3: the network of CelebA, trained on without supervision on 10,122 faces; tested on 2,995.

python train_main.py --config=configs/aflw.py --config.data.dir=AFLW --config.train.init_from=runs/celeba \
    --workdir=runs/aflw

For a GPU, as celeba.py. Not run here; the paper has 8.8 % of the eye distance by regression.
"""

from configs import celeba


def get_config():
    config = celeba.get_config()
    config.data.name = "aflw"
    config.train.num_epochs, config.train.decay_epochs = 50, (30, 40)
    return config
