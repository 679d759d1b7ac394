# Net: 3*5*9 + 5
# note: built as at
# note: input 1x3x24x24

import torch
import torch.nn as nn
import torch.nn.functional as F

import argparse
class Net(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.c = nn.Conv2d(a, b, 3, padding=1)
    def forward(self, x):
        return self.c(x)
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--alpha', type=int, default=3)
    parser.add_argument('--beta', type=int, default=5)
    args = parser.parse_args()
    net = Net(args.alpha, args.beta)
    print(net(torch.zeros((1, 3, 24, 24))).shape)
if __name__ == '__main__':
    main()
