"""From a trace to facts: the executed graph, the layers, the ledger of weights, the receptive field."""
