"""Faces of CelebA and MAFL (paper 1, table 3): trained on CelebA without MAFL's test images, heads fitted on MAFL.

python train_main.py --config=celeba --config.data.dir=CELEBA --workdir=runs/celeba

CELEBA holds img_align_celeba/, list_landmarks_align_celeba.txt, list_eval_partition.txt and MAFL's training.txt and
testing.txt. 100 epochs with the settings that the first author published later: for a GPU; not run here. The paper
reports 10.5 % of the eye distance by the nearest cell and 5.9 % by regression, the later code 4.0 % by regression.
"""

from configs import faces
from dense_labels.config import Config


def get_config() -> Config:
    config = faces.get_config()
    config.data.name = "celeba"
    config.train.optimizer, config.train.batch_size = "amsgrad", 32
    config.train.steps_per_epoch, config.train.num_epochs = 0, 100
    config.train.schedule, config.train.warmup_steps, config.train.decay_epochs = "steps", 0, (70, 90)
    return config
