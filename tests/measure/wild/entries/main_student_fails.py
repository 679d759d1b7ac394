# exit: 2
# first: Student
# input: 1,3,32,32
# Student: error: a convolution of 4 input channels
# Teacher: 3*50*9 + 50

import torch
import torch.nn as nn
import torch.nn.functional as F
class Teacher(nn.Module):
    def __init__(self): super().__init__(); self.c = nn.Conv2d(3, 50, 3)
    def forward(self, x): return self.c(x)
class Student(nn.Module):
    def __init__(self): super().__init__(); self.c = nn.Conv2d(4, 5, 3)
    def forward(self, x): return self.c(x)
def run():
    s = Student()
    return s(torch.zeros(1, 3, 9, 9))
if __name__ == "__main__":
    run()
