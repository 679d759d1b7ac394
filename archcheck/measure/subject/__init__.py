"""The subject's own objects: its files and lines, its module tree, and who owns which code."""
