"""Archives of the real torch-model-archiver, in its four forms, answer what torch answers."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from predictor.loading.pipeline import load
from predictor.loading.progress import Progress
from predictor.loading.source import Source
from predictor.model import HandlerError, HandlerRequest
from predictor.runtimes.mar.model import MarModel
from predictor.runtimes.mar.runtime import Mar
from tests.predictor.runtimes.mar.packing import manifest, opened, packed
from torpor.aio.clock import SystemClock
from torpor.errors import InvalidInputError, LoadError
from torpor.protocol.tensors import Tensor

pytestmark = [
    pytest.mark.slow,
    # Archives are full of TorchScript, whatever torch would rather have.
    pytest.mark.filterwarnings("ignore:`torch.jit.*:DeprecationWarning"),
]

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))

    def forward(self, x):
        return self.layers(x)
"""
HANDLER = """
import torch
from scale import SCALE
from ts.torch_handler.base_handler import BaseHandler

class Scaling(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([each.get("body") or each.get("data") for each in data]) * SCALE

    def postprocess(self, data):
        return [{"best": row.argmax().item(), "all": row.tolist()} for row in data]

    def get_insights(self, tensor, inputs, target):
        tensor.requires_grad_()
        self.model(tensor)[:, target].sum().backward()
        return tensor.grad.tolist()
"""
ROW = [0.5, -1.0, 2.0]


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before, path = dict(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - set(before):
        if name.partition(".")[0] in {"ts", "handler", "net", "scale"}:
            del sys.modules[name]
    assert sys.path == path


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of an archive, with weights as torch has them at first."""
    import torch

    Mar().prepare()
    folder = tmp_path_factory.mktemp("net")
    (folder / "net.py").write_text(NET)
    (folder / "handler.py").write_text(HANDLER)
    (folder / "scale.py").write_text("SCALE = 3\n")
    module: dict[str, Any] = {"__name__": "made"}
    exec(NET, module)  # noqa: S102  # it is above
    made = module["Net"]()
    torch.save(made.state_dict(), folder / "net.pth")
    traced(made, (1, 3)).save(folder / "traced.pt")
    traced(Classifier(), (1, 3, 224, 224)).save(folder / "classifier.pt")
    (folder / "index_to_name.json").write_text('{"0": "cat", "1": "dog", "2": "bird"}')
    return folder


def traced(model: Any, shape: tuple[int, ...]) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fixture's are not the marks' to ignore
        return torch.jit.trace(model, torch.zeros(shape))


def Classifier() -> Any:  # noqa: N802  # it makes one
    import torch

    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 3, 16, stride=16), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    ).eval()


def archived(folder: Path, net: Path, form: str = "default", **arguments: str) -> Path:
    """Run the archiver, and return what it has made."""
    named = {f"--{name.replace('_', '-')}": value for name, value in arguments.items()}
    words = [word for pair in {"--model-name": "m", "--version": "2.0", **named}.items() for word in pair]
    command = [sys.executable, "-m", "model_archiver.model_packaging", *words]
    command += ["--archive-format", form, "--export-path", str(folder)]
    subprocess.run(command, cwd=net, check=True, capture_output=True)
    (made,) = folder.iterdir()
    return made


def directly(net: Path, rows: list[list[float]]) -> Any:
    import torch

    with torch.inference_mode():
        return torch.jit.load(net / "traced.pt")(torch.tensor(rows))


def scaled(right: Any) -> list[Any]:
    """Return what the handler makes of the net's output."""
    return [{"best": row.argmax().item(), "all": row.tolist()} for row in right]


def body(model: MarModel, value: Any) -> Any:
    (answer,) = model.handle([HandlerRequest({"body": value}, {}, "1")])
    return orjson.loads(answer.body)


@pytest.mark.parametrize("form", ["default", "zip-store", "tgz", "no-archive"])
def test_a_handler_of_ones_own_answers_as_torch_does(tmp_path: Path, net: Path, form: str) -> None:
    """With weights that its class is given, and a file beside it; by TorchServe's protocol, by V1, and why."""
    path = archived(
        tmp_path,
        net,
        form,
        handler="handler.py",
        model_file="net.py",
        serialized_file="net.pth",
        extra_files="scale.py",
    )
    model = opened(path)
    tripled = [3 * each for each in ROW]
    assert body(model, ROW) == scaled(directly(net, [tripled]))[0]
    assert model.predict([{"data": ROW}, {"data": ROW}]) == scaled(directly(net, [tripled, tripled]))
    assert model.version == "2.0"
    assert model.explains
    (gradient,) = model.explain([{"data": ROW}])
    assert np.shape(gradient) == (1, 3)
    model.close()


def test_base_handler_answers_as_torch_does(tmp_path: Path, net: Path) -> None:
    """TorchScript, by all protocols; V2's first axis is the instances."""
    model = opened(archived(tmp_path, net, handler="base_handler", serialized_file="traced.pt"))
    rows = [ROW, [1.0, 2.0, 3.0]]
    right = directly(net, rows)
    assert model.predict(rows) == right.tolist()
    assert body(model, ROW) == directly(net, [ROW])[0].tolist()
    (output,) = model.infer([Tensor("x", np.array(rows, np.float32))])
    assert (output.name, np.asarray(output.array, np.float32).tolist()) == ("predict", right.tolist())
    with pytest.raises(InvalidInputError, match=r"inputs: 'a \[1\], b \[1\]'.*one input"):
        model.infer([Tensor("a", np.zeros(1)), Tensor("b", np.zeros(1))])
    assert not model.explains
    with pytest.raises(HandlerError, match="Prediction failed"):
        model.predict([["no", "numbers"]])
    model.close()


def test_image_classifier_answers_as_torch_does(tmp_path: Path, net: Path) -> None:
    """Pictures as octets, as base64 and as pixels; its labels are those of index_to_name.json."""
    import torch
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    picture, buffer = Image.fromarray(pixels), io.BytesIO()
    picture.save(buffer, "PNG")
    # What torchvision says that its steps are: short side to 256, the middle 224 by 224, to 0..1, standardised.
    scaled = np.asarray(picture.resize((341, 256), Image.Resampling.BILINEAR))[16:240, 58:282] / np.float32(255)
    ready = (scaled - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    tensor = torch.tensor(ready.transpose(2, 0, 1))
    with torch.inference_mode():
        right = dict(zip(("cat", "dog", "bird"), Classifier()(tensor[None]).softmax(1)[0].tolist(), strict=True))
    path = archived(
        tmp_path, net, handler="image_classifier", serialized_file="classifier.pt", extra_files="index_to_name.json"
    )
    model = opened(path)
    octets = buffer.getvalue()
    for given in (bytearray(octets), base64.b64encode(octets).decode(), tensor.tolist()):
        found = body(model, given)
        assert found == pytest.approx(right, rel=1e-4)
        assert list(found) == sorted(right, key=lambda name: -right[name])
    (output,) = model.infer([Tensor("x", np.array([octets, octets], object))])
    assert output.shape == (2,)
    (answer,) = model.predict([{"data": base64.b64encode(octets).decode()}])
    assert answer == pytest.approx(right, rel=1e-4)
    for given, status in ((b"no picture", 400), ("no base64!", 400), ({"a": 1}, 400)):
        with pytest.raises(HandlerError) as caught:
            body(model, given)
        assert caught.value.status == status
    model.close()


def test_a_picture_of_too_many_pixels_is_refused_before_they_are_made(
    tmp_path: Path, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some octets can be a picture of gigabytes."""
    from PIL import Image

    model = opened(archived(tmp_path, net, handler="image_classifier", serialized_file="classifier.pt"))
    buffer = io.BytesIO()
    Image.new("RGB", (100, 60)).save(buffer, "PNG")
    for most in (5000, 100):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        with pytest.raises(HandlerError, match="pixels") as caught:
            body(model, buffer.getvalue())
        assert caught.value.status == 413
    model.close()


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_weights_are_tensors_and_nothing_that_runs(tmp_path: Path, net: Path) -> None:
    """A pickle of anything else fails the load, and none of its code has run."""
    import torch

    torch.save({"a": Evil(tmp_path / "ran")}, tmp_path / "w.pth")
    path = packed(
        tmp_path / "m.mar",
        {"net.py": NET, "w.pth": (tmp_path / "w.pth").read_bytes()},
        manifest("base_handler", modelFile="net.py", serializedFile="w.pth"),
    )
    with pytest.raises(LoadError, match="UnpicklingError: Weights only load failed"):
        opened(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("files", "said", "says"),
    [
        pytest.param({}, {}, "neither a serializedFile nor a modelFile", id="nothing"),
        pytest.param({"w.onnx": "x"}, {"serializedFile": "w.onnx"}, "w.onnx is not opened by this", id="another kind"),
        pytest.param({"w.pt": "x"}, {"serializedFile": "w.pt"}, "handler base_handler: RuntimeError: ", id="broken"),
        pytest.param({"n.py": "x = 1"}, {"modelFile": "n.py"}, "one class.*it defines none", id="no class"),
    ],
)
def test_what_base_handler_cannot_open_says_why(
    tmp_path: Path, net: Path, files: dict[str, str], said: dict[str, str], says: str
) -> None:
    """With the file."""
    with pytest.raises(LoadError, match=says):
        opened(packed(tmp_path / "m.mar", files, manifest("base_handler", **said)))


async def test_kserves_layout_is_loaded_by_the_pipeline(tmp_path: Path, net: Path) -> None:
    """Of two archives the one that config.properties names, whose version the model has; and nothing of it is left."""
    store, scratch = tmp_path / "place/model-store", tmp_path / "scratch"
    for folder in (store, tmp_path / "place/config", tmp_path / "made", scratch):
        folder.mkdir(parents=True)
    archived(tmp_path / "made", net, handler="base_handler", serialized_file="traced.pt").rename(store / "net.mar")
    packed(store / "other.mar", {}, manifest("text_classifier"))
    (tmp_path / "place/config/config.properties").write_text("enable_envvars_config=true\nload_models=net=net.mar\n")
    source = Source("m", "mar", f"file://{tmp_path / 'place'}", scratch)
    held = await load(source, Progress(SystemClock()), SystemClock())
    assert held.version == "2.0"
    assert held.handles is not None
    assert held.model.predict([ROW]) == directly(net, [ROW]).tolist()
    assert len(list(scratch.iterdir())) == 1
    held.close()
    assert list(scratch.iterdir()) == []
