# Sequential: 32*64 + 64 + 64*10 + 10
# note: input_dim=32, hidden_dim=64, num_classes=10: usual values, guessed

import torch
import torch.nn as nn
import torch.nn.functional as F

def create_model(input_dim, hidden_dim, num_classes):
    layers = [nn.Linear(input_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, num_classes)]
    model = nn.Sequential(*layers)
    return model
