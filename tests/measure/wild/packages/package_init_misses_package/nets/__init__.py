import wandb
from .net import Net
