"""Tasks of the transformers library: the answers of its own pipelines, of small models that are made here."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from predictor.runtimes.huggingface import HuggingFace
from tests.predictor.runtimes.opening import opened
from tests.predictor.runtimes.test_sounds import tone, wav
from tests.support.models import minilm
from torpor.errors import ForbiddenError, InvalidInputError, LoadError
from torpor.protocol.tensors import Tensor

pytestmark = pytest.mark.slow

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
NAMES = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
TEXTS = ["Ada Lovelace lived in London, near Buckingham.", "", "unbelievably short 日本", "word " * 40]
GAPS = ["Paris is the [MASK] of France.", "one [MASK] and a [MASK] text", "[MASK]"]


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    """Of the two, one is imported by the models and the other here."""
    HuggingFace().prepare()
    global torch, transformers  # noqa: PLW0603
    import torch
    import transformers


def saved(folder: Path, module: Any, *parts: Any) -> Path:
    """Save a model whose weights are wide apart, so that no two answers are alike."""
    with torch.no_grad():
        for each in module.parameters():
            if each.ndim > 1:
                each.mul_(6)
    for each in (module, *parts):
        each.save_pretrained(folder)
    return folder


def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(minilm())


def token_classifier(folder: Path) -> Path:
    torch.manual_seed(1)
    config = transformers.BertConfig(**SMALL, id2label=NAMES, label2id={name: each for each, name in NAMES.items()})
    return saved(folder, transformers.BertForTokenClassification(config), tokenizer())


def mask_filler(folder: Path) -> Path:
    torch.manual_seed(2)
    return saved(folder, transformers.BertForMaskedLM(transformers.BertConfig(**SMALL)), tokenizer())


def rewriter(folder: Path) -> Path:
    torch.manual_seed(3)
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    marks = {"pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102, "decoder_start_token_id": 102}
    config = transformers.BartConfig(
        vocab_size=30522, d_model=32, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64,
        forced_eos_token_id=102, **layers, **marks,
    )  # fmt: skip
    return saved(folder, transformers.BartForConditionalGeneration(config), tokenizer())


def picture_classifier(folder: Path) -> Path:
    torch.manual_seed(4)
    config = transformers.ViTConfig(**SMALL, image_size=32, patch_size=8, id2label={0: "cat", 1: "dog", 2: "cow"})
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    return saved(folder, transformers.ViTForImageClassification(config), processor)


def ctc_listener(folder: Path) -> Path:
    torch.manual_seed(5)
    folder.mkdir(exist_ok=True)
    words = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.json").write_bytes(orjson.dumps({word: index for index, word in enumerate(words)}))
    letters = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    processor = transformers.Wav2Vec2Processor(transformers.Wav2Vec2FeatureExtractor(), letters)
    config = transformers.Wav2Vec2Config(
        **SMALL, vocab_size=len(words), conv_dim=(16, 16), conv_stride=(5, 64), conv_kernel=(10, 64),
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    return saved(folder, transformers.Wav2Vec2ForCTC(config), processor)


def whisper(folder: Path) -> Path:
    torch.manual_seed(6)
    from tokenizers.pre_tokenizers import ByteLevel

    words = [*sorted(ByteLevel.alphabet()), "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    speaker = transformers.WhisperTokenizer(vocab=vocabulary, merges=[])
    processor = transformers.WhisperProcessor(transformers.WhisperFeatureExtractor(), speaker)
    end, start = vocabulary["<|endoftext|>"], vocabulary["<|startoftranscript|>"]
    config = transformers.WhisperConfig(
        vocab_size=len(words), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_target_positions=64,
        pad_token_id=end, bos_token_id=end, eos_token_id=end, decoder_start_token_id=start,
        suppress_tokens=[], begin_suppress_tokens=[],
    )  # fmt: skip
    model = transformers.WhisperForConditionalGeneration(config)
    model.generation_config.no_timestamps_token_id = vocabulary["<|notimestamps|>"]
    model.generation_config.suppress_tokens = model.generation_config.begin_suppress_tokens = None
    return saved(folder, model, processor)


def pipeline(task: str, folder: Path, **options: Any) -> Any:
    return transformers.pipeline(task, model=str(folder), device="cpu", **options)


def alike(given: Any, right: Any) -> None:
    """Compare as JSON, numbers to five places."""
    if isinstance(right, dict):
        assert given.keys() == right.keys()
        for key in right:
            alike(given[key], right[key])
    elif isinstance(right, list):
        assert len(given) == len(right)
        for one, other in zip(given, right, strict=True):
            alike(one, other)
    elif isinstance(right, float | np.floating):
        assert given == pytest.approx(float(right), abs=1e-5)
    else:
        assert given == right


def by_v2(model: Any, name: str, values: Any, **parameters: Any) -> dict[str, Any]:
    array = np.array(values, object) if isinstance(values, list) else values
    outputs = model.infer_with([Tensor(name, array)], parameters)
    assert [each.name for each in outputs] == [each.name for each in model.signature.outputs]
    assert [each.datatype for each in outputs] == [each.datatype for each in model.signature.outputs]
    return {each.name: each.array.tolist() for each in outputs}


@pytest.mark.parametrize("strategy", ["none", "simple"])
def test_words_with_labels(tmp_path: Path, strategy: str) -> None:
    """Token by token, or tokens of one label together."""
    model: Any = opened(HuggingFace(), token_classifier(tmp_path))
    model.warm()
    right = pipeline("token-classification", tmp_path, aggregation_strategy=strategy)(TEXTS)
    parameters = {"aggregation_strategy": strategy}
    alike(model.predict_with(TEXTS, parameters), right)
    assert sum(len(each) for each in right) > 5
    found = by_v2(model, "text", TEXTS, **parameters)
    kind = "entity" if strategy == "none" else "entity_group"
    assert found["entity"] == [each[kind] for answer in right for each in answer]
    assert found["text"] == [index for index, answer in enumerate(right) for _ in answer]
    assert found["start"] == [each["start"] for answer in right for each in answer]
    with pytest.raises(InvalidInputError, match=r"parameters.aggregation_strategy: 'max' .* none, simple"):
        model.predict_with(TEXTS, {"aggregation_strategy": "max"})


def test_gaps_are_filled(tmp_path: Path) -> None:
    """One by one, each with the likeliest words."""
    model: Any = opened(HuggingFace(), mask_filler(tmp_path))
    model.warm()
    right = pipeline("fill-mask", tmp_path)(GAPS, top_k=3)
    alike(model.predict_with(GAPS, {"top_k": 3}), right)
    assert len(model.predict(GAPS[:1])[0]) == 5
    found = by_v2(model, "text", GAPS[:1], top_k=3)
    assert found["token"] == [[each["token_str"] for each in right[0]]]
    assert found["sequence"] == [[each["sequence"] for each in right[0]]]
    with pytest.raises(InvalidInputError, match=r"instances\[1\]: 'none' .*\[MASK\]"):
        model.predict(["[MASK]", "none"])
    with pytest.raises(InvalidInputError, match=r"text\[0\]: .* one \[MASK\]; or use V1"):
        by_v2(model, "text", GAPS[1:])
    with pytest.raises(InvalidInputError, match=r"parameters.top_k: 0 .* 1 to 100"):
        model.predict_with(GAPS, {"top_k": 0})
    with pytest.raises(InvalidInputError, match=r"no \[MASK\] is there"):
        model.predict(["word " * 600 + "[MASK]"])


def test_texts_are_rewritten(tmp_path: Path) -> None:
    """As `generate` does, text by text; the work is bounded."""
    model: Any = opened(HuggingFace(), rewriter(tmp_path))
    model.warm()
    reader, direct = tokenizer(), transformers.BartForConditionalGeneration.from_pretrained(tmp_path)
    texts = [TEXTS[0], TEXTS[2]]
    for new_tokens, beams in ((12, 1), (5, 3)):
        right = []
        for each in texts:
            words = reader(each, return_tensors="pt")
            words.pop("token_type_ids", None)
            ids = direct.generate(**words, max_new_tokens=new_tokens, num_beams=beams)
            right.append({"generated_text": reader.decode(ids[0], skip_special_tokens=True)})
        parameters = {"max_new_tokens": new_tokens, "num_beams": beams}
        assert model.predict_with(texts, parameters) == right
        found = by_v2(model, "text", texts, **parameters)
        assert found["generated_text"] == [each["generated_text"] for each in right]
    assert right[0] != right[1]
    for name, value in (("max_new_tokens", 100_000), ("num_beams", True)):
        with pytest.raises(InvalidInputError, match=rf"parameters.{name}: {value} .* whole number from 1"):
            model.predict_with(texts, {name: value})


def picture(kind: str, size: tuple[int, int] = (40, 24), mode: str = "RGB") -> bytes:
    from PIL import Image

    channels = len(Image.new(mode, (1, 1)).getbands())
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], channels), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise.squeeze()).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_pictures_have_labels(tmp_path: Path, kind: str) -> None:
    """As bytes, and as base64."""
    from PIL import Image

    model: Any = opened(HuggingFace(), picture_classifier(tmp_path))
    model.warm()
    raw = picture(kind)
    right = pipeline("image-classification", tmp_path)(Image.open(io.BytesIO(raw)).convert("RGB"))
    text = base64.b64encode(raw).decode()
    alike(model.predict([text, {"b64": text}]), [right, right])
    for given in ([raw], [text], [text.encode()]):
        found = by_v2(model, "image", given, top_k=2)
        assert found["label"] == [[each["label"] for each in right[:2]]]
        alike(found["score"], [[each["score"] for each in right[:2]]])


def test_grey_pictures_have_labels_too(tmp_path: Path) -> None:
    """As have those with a channel for what is seen through them."""
    model = opened(HuggingFace(), picture_classifier(tmp_path))
    given = [base64.b64encode(picture("PNG", mode=mode)).decode() for mode in ("L", "RGBA")]
    assert [len(each) for each in model.predict(given)] == [3, 3]


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is a square of this side."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        pytest.param(bomb(8000), r"8000 x 8000 pixels.*at most 50000000 pixels", id="large"),
        pytest.param(bomb(10_000), "at most 50000000 pixels", id="so-large-that-pillow-warns"),
        pytest.param(bomb(60_000), "at most 50000000 pixels", id="so-large-that-pillow-refuses"),
        pytest.param(picture("PNG")[:200], "a whole picture is needed", id="cut-short"),
        pytest.param(b"<svg/>", "a whole picture is needed", id="another-format"),
        pytest.param(b"", "a whole picture is needed", id="nothing"),
    ],
)
def test_pictures_that_are_refused(tmp_path: Path, raw: bytes, says: str) -> None:
    """Before they are unpacked."""
    model = opened(HuggingFace(), picture_classifier(tmp_path))
    with pytest.raises(InvalidInputError, match=rf"instances\[0\]: .*{says}"):
        model.predict([base64.b64encode(raw).decode()])


@pytest.mark.parametrize(
    "instance", ["no base64!", 7, {"url": "http://127.0.0.1/a.png"}], ids=["text", "number", "url"]
)
def test_pictures_come_in_the_request(tmp_path: Path, instance: Any) -> None:
    """None is looked for elsewhere."""
    model = opened(HuggingFace(), picture_classifier(tmp_path))
    with pytest.raises(InvalidInputError, match=r"instances\[0\]: .* base64"):
        model.predict([instance])


@pytest.mark.parametrize("make", [ctc_listener, whisper], ids=["ctc", "whisper"])
def test_speech_is_heard(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """From a WAV file or from samples."""
    model: Any = opened(HuggingFace(), make(tmp_path))
    model.warm()
    samples = np.concatenate([tone(16000, hertz) for hertz in (300, 700, 1500)])
    # The pipeline looks along five beams, unlike the model itself: what is wanted here is the likeliest word each time.
    options = {"generate_kwargs": {"max_new_tokens": 20, "num_beams": 1}} if make is whisper else {}
    right = pipeline("automatic-speech-recognition", tmp_path)(samples.copy(), **options)["text"]
    assert right
    file = wav(samples, code=3, rate=16000)
    asked = {"max_new_tokens": 20}
    text = base64.b64encode(file).decode()
    assert model.predict_with([text, {"b64": text}, samples.tolist()], asked) == [{"text": right}] * 3
    assert by_v2(model, "audio", [file, text], **asked) == {"text": [right, right]}
    assert by_v2(model, "audio", samples, **asked) == {"text": [right]}
    assert by_v2(model, "audio", np.stack([samples, samples]), **asked) == {"text": [right, right]}
    with pytest.raises(InvalidInputError, match=r"audio\[0\]: '0 s' .* takes 0.1 to"):
        by_v2(model, "audio", samples[:0])
    with pytest.raises(InvalidInputError, match=r"instances\[0\]: '61 s' .* takes 0.1 to"):
        model.predict([base64.b64encode(wav(np.zeros(61 * 8000, "<i2"))).decode()])
    with pytest.raises(InvalidInputError, match=r"audio\[0\]: .*NaN"):
        by_v2(model, "audio", np.full(16000, np.nan, np.float32))
    with pytest.raises(InvalidInputError, match="WAV file is needed"):
        model.predict([base64.b64encode(b"ID3 of an MP3").decode()])


@pytest.mark.parametrize("make", [token_classifier, mask_filler, rewriter, picture_classifier, ctc_listener])
def test_nothing_asked_is_nothing_answered(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    """By both protocols."""
    model = opened(HuggingFace(), make(tmp_path))
    assert model.predict([]) == []
    (given,) = model.signature.inputs
    assert all(not each.array.size for each in model.infer([Tensor(given.name, np.array([], object))]))


def test_an_architecture_that_is_not_of_its_task_is_named(tmp_path: Path) -> None:
    """With the task that its name says."""
    folder = mask_filler(tmp_path)
    config = orjson.loads((folder / "config.json").read_bytes()) | {"architectures": ["BertForImageClassification"]}
    (folder / "config.json").write_bytes(orjson.dumps(config))
    transformers.ViTImageProcessor().save_pretrained(folder)
    with pytest.raises(
        LoadError, match="BertForImageClassification cannot be served for the task image-classification"
    ):
        opened(HuggingFace(), folder)


def test_a_task_that_the_model_is_not_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for as with KServe's server: both tasks are named; the right one may be asked for."""
    folder = mask_filler(tmp_path)
    monkeypatch.setattr("sys.argv", ["predictor", "--task=fill_mask"])
    opened(HuggingFace(), folder)
    monkeypatch.setattr("sys.argv", ["predictor", "--task", "token_classification"])
    with pytest.raises(LoadError, match=r"token-classification is asked for.*BertForMaskedLM is for fill-mask"):
        opened(HuggingFace(), folder)


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    """Nor even fetched."""
    folder = mask_filler(tmp_path / "model")
    name = {"AutoConfig": "mine.Config", "AutoModelForMaskedLM": "mine.Model"}
    config = orjson.loads((folder / "config.json").read_bytes()) | {"model_type": "mine", "auto_map": name}
    (folder / "config.json").write_bytes(orjson.dumps(config))
    (folder / "mine.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'sprung')!r})\n")
    with pytest.raises(LoadError, match=r"BertForMaskedLM needs code that comes with its files .*modelFormat python"):
        opened(HuggingFace(), folder)
    assert not (tmp_path / "sprung").exists()


def test_pickled_weights_need_trust(tmp_path: Path) -> None:
    """For every task."""
    folder = mask_filler(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ForbiddenError, match=r"pytorch_model.bin is a pickle"):
        opened(HuggingFace(), folder)
