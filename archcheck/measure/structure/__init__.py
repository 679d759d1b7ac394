"""Turns a trace into facts: the executed graph, the layers, the weights, the receptive field."""
