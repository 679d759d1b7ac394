# Sequential: 784*9 + 9 + 9*10 + 10

import torch
import torch.nn as nn
import torch.nn.functional as F
model = nn.Sequential(nn.Flatten(), nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 10))
criterion = nn.CrossEntropyLoss()
