"""Train a classifier of iris flowers and save it where its argument says, in a format that cannot run code."""

import sys
from pathlib import Path

import skops.io
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
features, classes = load_iris(return_X_y=True)
skops.io.dump(LogisticRegression(max_iter=1000).fit(features, classes), folder / "model.skops")
print(f"saved {folder / 'model.skops'}")
