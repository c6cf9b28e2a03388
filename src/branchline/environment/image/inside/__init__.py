"""What runs inside an image while it is built: on the image's own Python, with nothing else."""
