"""What kind of file is it? A real model that tells 214 kinds, out of the package magika (pip install --no-deps magika).

file_types.py export FOLDER     copies the model to where it will be served from
file_types.py features FILE     prints the request for a file: 1024 bytes of its beginning, 1024 of its end
file_types.py label             reads the answer from standard input and prints the likeliest kind
"""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

HALF = 1024
BLOCK = 4096
PADDING = 256


def model_folder():
    package = importlib.util.find_spec("magika")
    if package is None:
        sys.exit("the model is not here: pip install --no-deps magika")
    return Path(package.origin).parent / "models/standard_v3_3"


def export(folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(model_folder() / "model.onnx", folder)
    print(f"saved {Path(folder, 'model.onnx')}")


def features(path):
    content = Path(path).read_bytes()
    begin = list(content[:BLOCK].lstrip()[:HALF])
    end = list(content[-BLOCK:].rstrip()[-HALF:])
    tokens = begin + [PADDING] * (HALF - len(begin)) + [PADDING] * (HALF - len(end)) + end
    print(json.dumps({"instances": [tokens]}))


def label():
    kinds = json.loads((model_folder() / "config.min.json").read_text())["target_labels_space"]
    for scores in json.load(sys.stdin)["predictions"]:
        best = max(range(len(kinds)), key=scores.__getitem__)
        print(f"{kinds[best]} {scores[best]:.3f}")


if __name__ == "__main__":
    {"export": export, "features": features, "label": label}[sys.argv[1]](*sys.argv[2:])
