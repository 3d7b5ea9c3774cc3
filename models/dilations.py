"""Network DILATIONS, section 3.2 of "Unsupervised learning of object frames" (NIPS 2017).

(5,20)+ (2,mp) down2 (5,48)+ (5,64,2)+ (3,80,4)+ (3,256,2)+ (1,L); it sees 54 pixels.
"""

FILTERS = ((5, 20, 1), (5, 48, 1), (5, 64, 2), (3, 80, 4), (3, 256, 2))  # (size, filters, dilation)
