"""Files that hold a network without its code, read without running anybody's Python."""
