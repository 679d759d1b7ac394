"""The base of all other rooms: errors, words, quantities, texts, files, JSON and installed packages.

It imports nothing of archcheck outside itself.
"""
