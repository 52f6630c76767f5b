"""Train a classifier of wines by their chemistry, and save it where its argument says."""

import sys
from pathlib import Path

import lightgbm
from sklearn.datasets import load_wine

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
features, classes = load_wine(return_X_y=True)
settings = {"objective": "multiclass", "num_class": 3, "verbose": -1}
booster = lightgbm.train(settings, lightgbm.Dataset(features, label=classes), num_boost_round=40)
booster.save_model(folder / "model.txt")
print(f"saved {folder / 'model.txt'}")
