# Net: error: needs `pytorch_lightning.LightningModule`, which is not installed here; install it (`pip install pytorch-lightning`)

import torch
import torch.nn as nn
import torch.nn.functional as F
import pytorch_lightning as pl

class Net(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(784, 10)

    def forward(self, x):
        return self.fc(x.flatten(1))
