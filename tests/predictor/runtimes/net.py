import torch


class Net(torch.nn.Module):
    def __init__(self, features=4, classes=3):
        super().__init__()
        self.linear = torch.nn.Linear(features, classes)

    def forward(self, rows, scale: float = 1.0):
        return self.linear(rows) * scale
