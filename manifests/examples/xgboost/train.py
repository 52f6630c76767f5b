"""Train a regression of how diabetes goes on, and save it where its argument says."""

import sys
from pathlib import Path

import xgboost
from sklearn.datasets import load_diabetes

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
features, progress = load_diabetes(return_X_y=True)
booster = xgboost.train({"max_depth": 3, "eta": 0.1}, xgboost.DMatrix(features, progress), num_boost_round=60)
booster.save_model(folder / "model.ubj")
print(f"saved {folder / 'model.ubj'}")
