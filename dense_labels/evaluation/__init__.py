"""What is measured of a run, and the result that holds it."""
