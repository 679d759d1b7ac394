"""Read files that contain a network without its code. This runs no Python code of the file."""
