"""Views of a picture: how they are warped and recoloured, and the pairs they make."""
