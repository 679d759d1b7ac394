# Sequential: 784*32 + 32 + 32*10 + 10
# note: it trains when it is imported

import torch
import torch.nn as nn
import torch.nn.functional as F

device = "cpu"
model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 32),
    nn.ReLU(),
    nn.Linear(32, 10),
).to(device)
optimizer = torch.optim.Adam(model.parameters())
epochs = 5
for e in range(epochs):
    loss = model(torch.randn(8, 1, 28, 28)).sum()
    loss.backward()
    optimizer.step()
