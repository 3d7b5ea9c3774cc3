"""Network SIMPLE, section 3.2 of "Unsupervised learning of object frames" (NIPS 2017).

(5,20)+ (2,mp) down2 (5,48)+ (3,64)+ (3,80)+ (3,256)+ (1,L); it sees 26 pixels.
"""

FILTERS = ((5, 20, 1), (5, 48, 1), (3, 64, 1), (3, 80, 1), (3, 256, 1))  # (size, filters, dilation)
