"""Which files a transformers model needs, and what it is served as."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from predictor.runtimes.pretrained import Configs, Plan, Task, check, choose, plan, requested, shards
from tests.support.models import minilm
from torpor.errors import ForbiddenError, InvalidInputError, NotFoundError, TorporError, UnsupportedError

NEEDED = ("config.json", "tokenizer.json", "model.safetensors")


def names_of_minilm() -> list[str]:
    return sorted(path.relative_to(minilm()).as_posix() for path in minilm().rglob("*") if path.is_file())


def test_of_the_real_model_nothing_but_what_is_needed_is_fetched() -> None:
    """No page for readers, no settings of git."""
    chosen = choose(names_of_minilm(), allow_pickle=False)
    assert set(names_of_minilm()) - set(chosen) == {".gitattributes", "README.md"}


@pytest.mark.parametrize(
    ("more", "chosen"),
    [
        pytest.param(["pytorch_model.bin", "tf_model.h5", "model.onnx"], [], id="weights-for-others"),
        pytest.param(["onnx/model.onnx", "onnx/config.json", "openvino/x.xml"], [], id="folders-for-others"),
        pytest.param([".git/config", ".cache/a"], [], id="hidden"),
        pytest.param(["1_Pooling/config.json", "merges.txt"], ["1_Pooling/config.json", "merges.txt"], id="steps"),
    ],
)
@pytest.mark.parametrize("allow_pickle", [False, True], ids=["strict", "trusted"])
def test_what_lies_beside_safetensors(more: list[str], chosen: list[str], *, allow_pickle: bool) -> None:
    """Pickles are not even fetched where there is something better."""
    assert choose([*NEEDED, *more], allow_pickle=allow_pickle) == (*NEEDED, *chosen)


@pytest.mark.parametrize(
    ("names", "kind", "says"),
    [
        pytest.param(["model.safetensors"], NotFoundError, "no config.json", id="no-configuration"),
        pytest.param(["config.json", "model.safetensors"], NotFoundError, "no tokenizer", id="no-tokenizer"),
        pytest.param(["config.json", "vocab.txt"], NotFoundError, "model.safetensors is missing", id="no-weights"),
        pytest.param(
            ["config.json", "vocab.txt", "x/model.safetensors"], NotFoundError, "missing", id="weights-elsewhere"
        ),
        pytest.param(
            ["config.json", "vocab.txt", "pytorch_model.bin"],
            ForbiddenError,
            r"pytorch_model.bin is a pickle.*torpor.dev/allow-pickle",
            id="only-a-pickle",
        ),
    ],
)
def test_folders_that_hold_no_model_to_open(names: list[str], kind: type[TorporError], says: str) -> None:
    """Known from the names alone, before anything is fetched."""
    with pytest.raises(kind, match=says):
        choose(names, allow_pickle=False)


def test_a_pickle_is_taken_where_its_place_is_trusted() -> None:
    """The weights, and not what else is pickled there."""
    names = ["config.json", "vocab.txt", "pytorch_model.bin", "training_args.bin"]
    assert choose(names, allow_pickle=True) == ("config.json", "vocab.txt", "pytorch_model.bin")


def test_the_real_model_is_served_as_its_files_say() -> None:
    """Mean of the tokens, length 1, at most 256 tokens."""

    def read(name: str) -> Any:
        return orjson.loads((minilm() / name).read_bytes())

    configs = Configs(
        read("config.json"),
        read("modules.json"),
        read("1_Pooling/config.json"),
        read("sentence_bert_config.json"),
        read("config_sentence_transformers.json"),
    )
    assert plan(configs) == Plan(Task.EMBEDDING, "BertModel", 256, pooling=("mean",), normalize=True)


TRANSFORMER = {"type": "sentence_transformers.models.Transformer"}
POOLING = {"type": "sentence_transformers.models.Pooling"}


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        pytest.param(
            Configs({"architectures": ["BertModel"]}), Plan(Task.EMBEDDING, "BertModel"), id="a-plain-encoder"
        ),
        pytest.param(Configs({}), Plan(Task.EMBEDDING, ""), id="no-architecture"),
        pytest.param(
            Configs({"architectures": ["BertForSequenceClassification"]}),
            Plan(Task.CLASSIFICATION, "BertForSequenceClassification"),
            id="labels",
        ),
        pytest.param(
            Configs({"architectures": ["MPNetForMaskedLM"]}, [TRANSFORMER, POOLING]),
            Plan(Task.EMBEDDING, "MPNetForMaskedLM", normalize=False),
            id="sentence-transformers-decide-over-the-architecture",
        ),
        pytest.param(
            Configs({}, [TRANSFORMER, POOLING], {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}),
            Plan(Task.EMBEDDING, "", pooling=("cls", "mean"), normalize=False),
            id="two-poolings-in-their-order",
        ),
        pytest.param(
            Configs({}, [TRANSFORMER, POOLING], {"pooling_mode": "cls"}),
            Plan(Task.EMBEDDING, "", pooling=("cls",), normalize=False),
            id="pooling-by-name",
        ),
        pytest.param(
            Configs(
                {},
                [TRANSFORMER],
                None,
                {"max_seq_length": 128, "do_lower_case": True},
                {"prompts": {"query": "q: "}, "default_prompt_name": "query"},
            ),
            Plan(Task.EMBEDDING, "", 128, lower_case=True, prefix="q: ", normalize=False),
            id="lower-case-and-a-prompt",
        ),
    ],
)
def test_what_models_are_served_as(configs: Configs, expected: Plan) -> None:
    """By the steps of sentence-transformers where there are some, else by the architecture."""
    assert plan(configs) == expected


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForTokenClassification", Task.TOKENS),
        ("RobertaForMaskedLM", Task.MASK),
        ("T5ForConditionalGeneration", Task.REWRITING),
        ("MarianMTModel", Task.REWRITING),
        ("ViTForImageClassification", Task.PICTURES),
        ("DeiTForImageClassificationWithTeacher", Task.PICTURES),
        ("Wav2Vec2ForCTC", Task.SPEECH),
        ("WhisperForConditionalGeneration", Task.SPEECH),
    ],
)
def test_architectures_say_their_task(architecture: str, task: Task) -> None:
    """By the end of their names."""
    assert plan(Configs({"architectures": [architecture], "is_encoder_decoder": True})) == Plan(task, architecture)


@pytest.mark.parametrize(
    ("task", "there", "says"),
    [
        pytest.param(Task.MASK, ["preprocessor_config.json"], "no tokenizer, which fill-mask needs", id="no-tokenizer"),
        pytest.param(Task.PICTURES, ["vocab.txt"], "no processor, which image-classification", id="no-processor"),
        pytest.param(Task.SPEECH, ["processor_config.json"], "no tokenizer, which automatic-speech", id="sounds"),
    ],
)
def test_what_a_task_needs_beside_weights(task: Task, there: list[str], says: str) -> None:
    """Named before anything is opened."""
    with pytest.raises(NotFoundError, match=says):
        check(Plan(task, "Any"), there)


@pytest.mark.parametrize(
    ("configs", "says"),
    [
        pytest.param(Configs({"architectures": ["LlamaForCausalLM"]}), "LlamaForCausalLM generates", id="generates"),
        pytest.param(Configs({"architectures": ["GPT2LMHeadModel"]}), "GPT2LMHeadModel generates", id="generates-too"),
        pytest.param(
            Configs({"architectures": ["T5ForConditionalGeneration"]}),
            "T5ForConditionalGeneration gen",
            id="translates",
        ),
        pytest.param(
            Configs({"architectures": ["SamForMasks"]}), r"SamForMasks is not served; .*fill-mask", id="others"
        ),
        pytest.param(Configs({}, [TRANSFORMER, {"type": "a.Dense"}]), "Dense", id="a-step-that-is-not-served"),
        pytest.param(
            Configs({}, [TRANSFORMER, POOLING], {"pooling_mode_lasttoken": True}),
            "'lasttoken'",
            id="a-pooling-that-is-not",
        ),
    ],
)
def test_what_is_not_served_is_refused_by_name(configs: Configs, says: str) -> None:
    """Rather than answered with something else."""
    with pytest.raises(UnsupportedError, match=says):
        plan(configs)


def test_an_index_names_its_files() -> None:
    """Each once; anything else is no index."""
    assert shards({"weight_map": {"a": "2.safetensors", "b": "1.safetensors", "c": "1.safetensors"}}) == (
        "1.safetensors",
        "2.safetensors",
    )
    with pytest.raises(InvalidInputError, match="weight_map"):
        shards({"weight_map": {"a": 1}})


@pytest.mark.parametrize(
    ("arguments", "task"),
    [
        pytest.param(["--task=text-classification"], Task.CLASSIFICATION, id="the-librarys-word"),
        pytest.param(["--task", "sequence_classification"], Task.CLASSIFICATION, id="kserves"),
        pytest.param(["--task=text_embedding"], Task.EMBEDDING, id="kserves-other"),
        pytest.param(["--task=feature-extraction"], Task.EMBEDDING, id="the-librarys-other"),
        pytest.param(["--task=text2text_generation"], Task.REWRITING, id="with-underscores"),
        pytest.param(["--model_name=x"], "", id="none"),
        pytest.param(["--task"], "", id="cut-short"),
    ],
)
def test_tasks_are_asked_for_by_name(arguments: list[str], task: str) -> None:
    assert requested(arguments) == task
