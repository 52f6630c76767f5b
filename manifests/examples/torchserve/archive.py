"""Train the network on scikit-learn's digits, and archive it where its argument says: digits.mar."""

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from net import Digits
from sklearn.datasets import load_digits

here, folder = Path(__file__).parent, Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
torch.manual_seed(0)
pixels, digits = (torch.tensor(each) for each in load_digits(return_X_y=True))
pixels = pixels.float() / 16
net = Digits()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for _ in range(150):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(pixels), digits).backward()
    optimizer.step()
with tempfile.TemporaryDirectory() as weights:
    torch.save(net.state_dict(), f"{weights}/digits.pth")
    archiver = str(Path(sys.executable).with_name("torch-model-archiver"))
    command = [archiver, "--model-name", "digits", "--version", "1.0"]
    command += ["--serialized-file", f"{weights}/digits.pth", "--model-file", str(here / "net.py")]
    command += ["--handler", str(here / "handler.py"), "--export-path", str(folder), "--force"]
    subprocess.run(command, check=True)
right = (net(pixels).argmax(1) == digits).float().mean()
print(f"saved {folder / 'digits.mar'}, which knows {right:.1%} of what it was trained with")
