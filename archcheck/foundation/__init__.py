"""What all other packages use: errors, words, quantities, texts, files, JSON and installed packages.

It imports no other package of archcheck.
"""
