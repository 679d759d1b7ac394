# Critic: 36*64 + 64 + 64*1 + 1
# note: inputs `state` 1x18 (float32), `action` 1x18 (float32) inferred from Linear `a`; how `state` and `action` divide its features is a guess

import torch
import torch.nn as nn

class Critic(nn.Module):
    def __init__(self):
        super().__init__(); self.a = nn.Linear(36, 64); self.b = nn.Linear(64, 1)
    def forward(self, state, action): return self.b(self.a(torch.cat([state, action], 1)).relu())
