# Net: 3*7*9 + 7
# note: `settings` is Settings() of this file

import torch
import torch.nn as nn
import torch.nn.functional as F

from pydantic import BaseModel
class Settings(BaseModel):
    cin: int = 3
    width: int = 7
class Net(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.c = nn.Conv2d(settings.cin, settings.width, 3)
    def forward(self, x): return self.c(x)
