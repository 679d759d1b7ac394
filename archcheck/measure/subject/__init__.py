"""What is known of a subject's own objects: its files and lines, its module tree, and which code is whose."""
