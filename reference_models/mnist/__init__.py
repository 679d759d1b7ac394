"""The flagship: a convolutional network of 13,086 parameters for MNIST, its two recipes and its record.

`model` is the network, `train` the trainer, `evaluate` the official test, `record` the evidence.
Importing this package imports nothing else; each module says what it needs.
"""
