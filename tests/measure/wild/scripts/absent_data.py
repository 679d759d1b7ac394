# Net: 1*4*9 + 4 + 4*10 + 10
# note: importing it fails (absent_data.py:18

import torch
import torch.nn as nn
import torch.nn.functional as F
from torchvision import datasets, transforms

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

train_set = datasets.FashionMNIST("./data", train=True, transform=transforms.ToTensor())
print(len(train_set))
