# Net: 1*8*9 + 8 + 8*10 + 10
# note: it reads the command line
# note: defaults of the parser in parser.py

import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser(description="train a small network")
parser.add_argument("data", help="folder of images")
parser.add_argument("--width", type=int, default=8)
parser.add_argument("--lr", type=float, default=1e-3, required=True)
parser.add_argument("--cuda", action="store_true")
args = parser.parse_args()
args.cuda = args.cuda and torch.cuda.is_available()
device = torch.device("cuda" if args.cuda else "cpu")

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, args.width, 3)
        self.fc = nn.Linear(args.width, 10)

    def forward(self, x):
        return self.fc(self.conv(x).relu().mean((2, 3)))

model = Net().to(device)
