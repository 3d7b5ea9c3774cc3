"""Your own video, section 3.3: true motion, its flow computed from the frames.

python train_main.py --config=configs/video.py --config.data.dir=FRAMES --workdir=runs/video

FRAMES holds the frames of a clip as pictures numbered in their names, or clips in folders of their own. What stands
still teaches nothing and is left out. As long as folder.py. Needs OpenCV: pip install "opencv-python-headless<4.12".
"""

from configs import folder


def get_config():
    config = folder.get_config()
    config.data.name = "video"
    return config
