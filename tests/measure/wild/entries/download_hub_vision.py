# Net: 1235496 + 1000*2 + 2
# note: `pytorch/vision` was not downloaded: `squeezenet1_1` is that of the installed torchvision, with random weights
# input: 1,3,64,64

import torch
import torch.nn as nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.b, self.fc = torch.hub.load("pytorch/vision:v0.10.0", "squeezenet1_1", pretrained=True), nn.Linear(1000, 2)
    def forward(self, x): return self.fc(self.b(x))
