"""Models of the transformers library: the same numbers as the library itself gives.

Importing it takes seconds, so what can be known without it is tested in test_pretrained.py and test_safetensors.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from predictor.model import Model, TensorSpec
from predictor.runtimes import bert
from predictor.runtimes.huggingface import HuggingFace
from predictor.runtimes.runtime import Files
from predictor.runtimes.safetensors import CorruptError
from predictor.runtimes.texts import batches
from tests.support.models import minilm
from torpor.errors import ForbiddenError, InvalidInputError, LoadError, NotFoundError, UnsupportedError
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.slow

TOLERANCE = 1e-5
TEXTS = [
    "a cat sat on the mat",
    "",
    "Ünïcödé, ÇAPITALS and naïve façades",
    "日本語のテキスト and 中文",
    "emoji 🐈 and [MASK] and [SEP]",
    "word " * 500,
    *(f"sentence number {index} " * (index % 7) for index in range(40)),
]


def opened(folder: Path, *, allow_pickle: bool = False) -> Model:
    runtime = HuggingFace()
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    files = Files(folder, runtime.choose(names, allow_pickle=allow_pickle), allow_pickle)
    runtime.verify(files)
    return runtime.open(files)


@pytest.fixture(scope="module")
def model() -> Model:
    model = opened(minilm())
    model.warm()
    return model


@pytest.fixture(scope="module")
def direct() -> list[list[float]]:
    """The library's own numbers, text by text, at the length that the model's page names."""
    HuggingFace().prepare()
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, encoder = AutoTokenizer.from_pretrained(minilm()), AutoModel.from_pretrained(minilm()).eval()
    embeddings = []
    with torch.inference_mode():
        for text in TEXTS:
            words = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
            tokens = encoder(**words).last_hidden_state[0]
            embeddings.append(torch.nn.functional.normalize(tokens.mean(dim=0), dim=0).tolist())
    return embeddings


def assert_same(given: Sequence[Any], expected: list[list[float]]) -> None:
    np.testing.assert_allclose(np.array(given), np.array(expected), atol=TOLERANCE, rtol=0)


def test_the_real_model_gives_the_librarys_numbers(model: Model, direct: list[list[float]]) -> None:
    """Though it is computed without the library, in batches of texts of different lengths."""
    assert_same(model.predict(TEXTS), direct)


def test_models_that_need_the_library_are_served_by_it(
    monkeypatch: pytest.MonkeyPatch, direct: list[list[float]]
) -> None:
    """By the same pooling."""
    monkeypatch.setattr(bert, "fits", lambda *_: False)
    assert_same(opened(minilm()).predict(TEXTS), direct)


def test_by_v2_embeddings_are_one_tensor(model: Model, direct: list[list[float]]) -> None:
    """From texts or their bytes, as a list or a column."""
    for given in (TEXTS[:4], [each.encode() for each in TEXTS[:4]]):
        (output,) = model.infer([Tensor("text", np.array(given, dtype=object))])
        assert (output.name, output.datatype, output.shape) == ("embedding", "FP32", (4, 384))
        assert_same(output.array, direct[:4])
    (column,) = model.infer([Tensor("text", np.array([["a"], ["b"]], dtype=object))])
    assert column.shape == (2, 384)


def test_its_signature_names_input_and_output(model: Model) -> None:
    """As the metadata endpoint shows it."""
    assert model.signature.inputs == (TensorSpec("text", "BYTES", (-1,)),)
    assert model.signature.outputs == (TensorSpec("embedding", "FP32", (-1, 384)),)


def test_requests_at_the_same_time_do_not_mix(model: Model, direct: list[list[float]]) -> None:
    """Each caller gets its own."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda text: model.predict([text])[0], TEXTS[:24]))
    assert_same(answers, direct[:24])


def test_nothing_asked_is_nothing_answered(model: Model) -> None:
    """Not an error."""
    assert model.predict([]) == []


@pytest.mark.parametrize(
    ("instances", "says"),
    [
        pytest.param([1], r"instances\[0\]: 1 is not allowed; this model takes texts", id="a-number"),
        pytest.param(["a", None], r"instances\[1\]: None", id="nothing"),
        pytest.param([["a"]], r"instances\[0\]", id="a-list"),
    ],
)
def test_v1_instances_that_are_no_texts_are_refused(model: Model, instances: list[Any], says: str) -> None:
    """By position."""
    with pytest.raises(InvalidInputError, match=says):
        model.predict(instances)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        pytest.param([Tensor("words", np.array(["a"]))], "inputs: 'words'.*named text", id="a-wrong-name"),
        pytest.param([], "named text", id="none"),
        pytest.param([Tensor("text", np.array([1.0]))], "text.datatype: 'FP64'.*BYTES", id="a-wrong-datatype"),
        pytest.param([Tensor("text", np.array([["a", "b"]]))], r"text.shape: \[1, 2\]", id="a-wrong-shape"),
        pytest.param([Tensor("text", np.array([b"\xff"], dtype=object))], r"text\[0\].*UTF-8", id="not-utf-8"),
    ],
)
def test_v2_tensors_that_are_no_texts_are_refused(model: Model, inputs: list[Tensor], says: str) -> None:
    """The message names the field, its value, and what the model takes."""
    with pytest.raises(InvalidInputError, match=says):
        model.infer(inputs)


def test_batches_put_long_texts_with_long_ones() -> None:
    """Each text in one batch."""
    texts = ["a" * length for length in (1, 9, 2, 8, 3)]
    assert list(batches(texts, 2)) == [[1, 3], [4, 2], [0]]
    assert list(batches([], 2)) == []


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The real model's folder, to break it."""
    return Path(shutil.copytree(minilm(), tmp_path / "model"))


def change(path: Path, **changes: Any) -> None:
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | changes))


def test_a_truncated_file_is_named(copied: Path) -> None:
    """Before it is opened."""
    with (copied / "model.safetensors").open("r+b") as file:
        file.truncate(1_000_000)
    with pytest.raises(
        CorruptError, match=r"model.safetensors is truncated: it should have 9\d+ bytes and has 1000000"
    ):
        opened(copied)


def test_a_configuration_that_is_no_json_is_named(copied: Path) -> None:
    """With what is wrong."""
    (copied / "config.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"config.json: b'\{'.*JSON"):
        opened(copied)


def test_a_shard_that_is_missing_is_named(copied: Path) -> None:
    """By the index that names it."""
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copied / "model.safetensors.index.json").write_bytes(orjson.dumps(index))
    with pytest.raises(NotFoundError, match=r"model-00002-of-00002.safetensors: named by .*index.json, and not there"):
        opened(copied)


def test_what_generates_is_refused_by_name(copied: Path) -> None:
    """Before anything is opened."""
    (copied / "modules.json").unlink()
    change(copied / "config.json", architectures=["LlamaForCausalLM"])
    with pytest.raises(UnsupportedError, match=r"LlamaForCausalLM generates"):
        opened(copied)


def test_pickled_weights_are_served_where_their_place_is_trusted(copied: Path, direct: list[list[float]]) -> None:
    """And refused elsewhere."""
    HuggingFace().prepare()
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    with pytest.raises(ForbiddenError, match=r"pytorch_model.bin is a pickle.*torpor.dev/allow-pickle"):
        opened(copied)
    assert_same(opened(copied, allow_pickle=True).predict(TEXTS[:2]), direct[:2])


@pytest.mark.parametrize("alone", [True, False], ids=["by-torch-alone", "by-the-library"])
def test_weights_that_lack_a_tensor_are_not_served(
    copied: Path, monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    """Made up, they would give answers that look like answers."""
    if not alone:
        monkeypatch.setattr(bert, "fits", lambda *_: False)
    change(copied / "config.json", num_hidden_layers=7)
    with pytest.raises(LoadError, match=r"the weights lack 16 tensors that BertModel needs: encoder.layer.6"):
        opened(copied)


def test_labels_with_scores(tmp_path: Path) -> None:
    """Of a small model made here: the likeliest label, and how likely."""
    HuggingFace().prepare()
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        id2label={0: "bad", 1: "good", 2: "fair"}, label2id={"bad": 0, "good": 1, "fair": 2},
    )  # fmt: skip
    classifier, tokenizer = BertForSequenceClassification(config).eval(), AutoTokenizer.from_pretrained(minilm())
    classifier.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with torch.inference_mode():
        words = tokenizer(TEXTS[:4], padding=True, return_tensors="pt")
        scores = classifier(**words).logits.softmax(dim=1)
    labels = [config.id2label[each] for each in scores.argmax(dim=1).tolist()]

    model = opened(tmp_path)
    model.warm()
    predictions = model.predict(TEXTS[:4])
    assert [each["label"] for each in predictions] == labels
    assert [each["score"] for each in predictions] == pytest.approx(scores.amax(dim=1).tolist(), abs=TOLERANCE)
    label, score = model.infer([Tensor("text", np.array(TEXTS[:4], dtype=object))])
    assert (label.name, label.datatype, label.array.tolist()) == ("label", "BYTES", labels)
    assert (score.name, score.datatype) == ("score", "FP32")
    model.close()


BERT = {"model_type": "bert", "hidden_act": "gelu"}
TOKENIZER = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
OWN = {"normalizer": {"type": "BertNormalizer", "lowercase": True, "strip_accents": None}}


@pytest.mark.parametrize(
    ("names", "config", "tokenizer", "own", "fits"),
    [
        pytest.param(["tokenizer.json"], BERT, TOKENIZER, OWN, True, id="as-usual"),
        pytest.param(["vocab.txt"], BERT, TOKENIZER, OWN, False, id="no-tokenizer-json"),
        pytest.param(["tokenizer.json"], BERT | {"model_type": "roberta"}, TOKENIZER, OWN, False, id="another-model"),
        pytest.param(["tokenizer.json"], BERT | {"hidden_act": "relu"}, TOKENIZER, OWN, False, id="another-function"),
        pytest.param(
            ["tokenizer.json"],
            BERT | {"position_embedding_type": "relative_key"},
            TOKENIZER,
            OWN,
            False,
            id="other-positions",
        ),
        pytest.param(["tokenizer.json"], BERT | {"is_decoder": True}, TOKENIZER, OWN, False, id="a-decoder"),
        pytest.param(["tokenizer.json"], BERT | {"auto_map": {"a": "b"}}, TOKENIZER, OWN, False, id="code-of-its-own"),
        pytest.param(["tokenizer.json"], BERT, TOKENIZER | {"do_lower_case": False}, OWN, False, id="other-capitals"),
        pytest.param(["tokenizer.json"], BERT, {"tokenizer_class": "T5Tokenizer"}, OWN, False, id="other-tokenizer"),
        pytest.param(["tokenizer.json"], BERT, TOKENIZER, {"normalizer": None}, False, id="no-normalizer"),
    ],
)
def test_only_what_is_computed_exactly_alike_is_computed_without_the_library(
    names: list[str],
    config: dict[str, Any],
    tokenizer: dict[str, Any],
    own: dict[str, Any],
    fits: bool,  # noqa: FBT001
) -> None:
    """Anything unusual is the library's."""
    assert bert.fits(names, config, tokenizer, own) is fits
