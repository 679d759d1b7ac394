# Net: error: `train` is set at download_of_data.py:8, which was not run, as it downloads when it is imported (download_of_data.py:8); give it a plain value, or pass it to the constructor

import torch
import torch.nn as nn
import torch.nn.functional as F

from torchvision.datasets import MNIST
train = MNIST("data", download=True)
class Net(nn.Module):
    def __init__(self):
        super().__init__(); self.fc = nn.Linear(784, len(train.classes))
    def forward(self, x): return self.fc(x)
