# Net: error: `.nodes` of `graph` is read, and no tensor has it; an input that is no tensor comes from a function, see `archcheck explain inputs`

import torch.nn as nn

class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.a = nn.Linear(16, 3)
    def forward(self, graph): return self.a(graph.nodes)
