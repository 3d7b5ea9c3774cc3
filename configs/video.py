"""Your own video, section 3.3: true motion, its flow computed from the frames.

python train_main.py --config=configs/video.py --config.data.dir=FRAMES --workdir=runs/video

FRAMES holds the frames of a clip as pictures numbered in their names, or clips in folders of their own. What stands
still teaches nothing and is left out; between neighbouring frames that can be nearly all, so frames up to three apart
make pairs. What is kept on disk takes 150 kB a frame of 100 x 82. As long as folder.py. Needs OpenCV:
pip install -e .[video]
"""

from configs import folder


def get_config():
    config = folder.get_config()
    config.data.name, config.data.max_gap = "video", 3
    return config
