"""Your own video (paper 1, section 3.3): true motion, by optical flow that is computed from the frames.

python train_main.py --config=video --config.data.dir=FRAMES --workdir=runs/video

FRAMES holds the frames of a clip as pictures with numbers in their names, or a folder of such pictures for each clip.
What does not move teaches nothing and is left out. Between neighbouring frames that can be nearly everything, so the
frames of a pair may lie up to three apart. A frame of 100 x 82 takes 150 kB on disk. A step takes no longer than one of
folder.py, and there are three times as many. Needs OpenCV: pip install "dense-labels[video]"
"""

from configs import folder
from dense_labels.config import Config


def get_config() -> Config:
    config = folder.get_config()
    config.data.name, config.data.max_gap = "video", 3
    config.model.label_size, config.loss.exchange = 3, False
    config.train.num_epochs = 30
    return config
