"""Network DILATIONS, section 3.2 of "Unsupervised learning of object frames" (NIPS 2017).

(5,20)+ (2,mp) down2 (5,48)+ (5,64,2)+ (3,80,4)+ (3,256,2)+ (1,L); a label sees 54 pixels.
"""

from dense_labels.registry import NETWORKS
from models.networks import simple


@NETWORKS.register(
    "dilations",
    "six convolutions at stride 2, three of them dilated; a label sees 54 pixels (paper 1)",
    keys=simple.KEYS,
)
class Dilations(simple.Simple):
    """SIMPLE with other filters, three of them dilated."""

    NAME = "dilations"
    FILTERS = ((5, 20, 1), (5, 48, 1), (5, 64, 2), (3, 80, 4), (3, 256, 2))
