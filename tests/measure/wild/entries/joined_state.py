# Cell: 185*128 + 128 + 128*18 + 18
# note: inputs `letter` 1x57 (float32), `hidden` 1x128 (float32) inferred

import torch
import torch.nn as nn

class Cell(nn.Module):
    def __init__(self, letters=57, hidden_size=128):
        super().__init__(); self.hidden_size = hidden_size
        self.step = nn.Linear(letters + hidden_size, hidden_size); self.out = nn.Linear(hidden_size, 18)
    def forward(self, letter, hidden):
        hidden = torch.tanh(self.step(torch.cat((letter, hidden), 1)))
        return self.out(hidden), hidden
