"""What every other room stands on: errors, words, quantities, texts, files, JSON and installed packages.

It imports nothing of archcheck outside itself.
"""
