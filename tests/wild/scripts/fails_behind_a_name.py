# Net: error: `width` is set at fails_behind_a_name.py:11, which was not run, as importing it fails (fails_behind_a_name.py:12)
"""A width that a function works out, in a file that fails behind it."""
from torch import nn


def measured():
    return 4


width = measured()
nn.Linear(width)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(width, 2)

    def forward(self, x):
        return self.fc(x)
