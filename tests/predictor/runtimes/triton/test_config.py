"""config.pbtxt: what is read, what is refused and how that is said, and that no text does harm."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from predictor.batching.options import MAX_QUEUE, Batching, QueuePolicy
from predictor.batching.sequencing import Control, Kind, Sequencing, State
from predictor.runtimes.triton.config import Config, Port, Sample, Versions, Warmup, read
from tests.support.triton import model_config_pb2
from torpor.errors import InvalidInputError
from torpor.protocol.grpc.messages import message

PORTS = """
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
LONE = Batching(1, policy=QueuePolicy(allows_override=False))


def config(text: str, backend: str = "onnxruntime") -> Config:
    return read(f'backend: "{backend}" max_batch_size: 8 {PORTS} {text}', "m")


def messages(descriptor: Any) -> dict[str, Any]:
    """All messages that are in one, by full name."""
    found: dict[str, Any] = {}
    todo = [descriptor]
    while todo:
        each = todo.pop()
        if each.full_name not in found:
            found[each.full_name] = each
            todo += [field.message_type for field in each.fields if field.message_type is not None]
    return found


def test_our_messages_are_tritons() -> None:
    """Every message, field, number, type and enumeration, compared with the official client's."""
    ours, tritons = (messages(each.DESCRIPTOR) for each in (message("ModelConfig"), model_config_pb2.ModelConfig))
    assert ours.keys() == tritons.keys()
    for name in ours:
        shapes = [
            {
                (
                    each.name,
                    each.number,
                    each.type,
                    each.is_repeated,
                    each.containing_oneof and each.containing_oneof.name,
                )
                for each in side[name].fields
            }
            for side in (ours, tritons)
        ]
        assert shapes[0] == shapes[1]
        for field in ours[name].fields:
            if field.enum_type is not None:
                values = [
                    {(each.name, each.number) for each in side[name].fields_by_name[field.name].enum_type.values}
                    for side in (ours, tritons)
                ]
                assert values[0] == values[1]


def test_the_least() -> None:
    found = config("")
    assert (found.name, found.backend, found.max_batch, found.filename) == ("m", "onnxruntime", 8, "model.onnx")
    assert found.inputs == (Port("x", "FP32", (4,)),)
    assert found.outputs == (Port("y", "FP32", (1,)),)
    assert (found.versions, found.batching, found.warmups) == (Versions(), LONE, ())
    assert (found.is_decoupled, found.keeps_answers, dict(found.parameters)) == (False, False, {})


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ('backend: "python"', "python"),
        ('platform: "onnxruntime_onnx"', "onnxruntime"),
        ('platform: "pytorch_libtorch"', "pytorch"),
        ('default_model_filename: "net.pt"', "pytorch"),
    ],
)
def test_backends(text: str, backend: str) -> None:
    assert read(f"{text} {PORTS}", "m").backend == backend


@pytest.mark.parametrize(
    ("text", "batching"),
    [
        pytest.param("dynamic_batching { }", Batching(8, policy=QueuePolicy(allows_override=False)), id="plain"),
        pytest.param(
            "instance_group [ { count: 2 }, { kind: KIND_CPU } ]",
            Batching(1, instances=3, policy=LONE.policy),
            id="instances",
        ),
        pytest.param(
            """dynamic_batching {
                preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 500 preserve_ordering: true
                priority_levels: 2 default_priority_level: 2
                default_queue_policy {
                    timeout_action: DELAY default_timeout_microseconds: 1000 allow_timeout_override: true
                }
                priority_queue_policy { key: 1 value: { max_queue_size: 3 } }
            }""",
            Batching(
                8,
                (4, 8),
                0.0005,
                2,
                2,
                QueuePolicy(0.001, allows_override=True, delays=True, max_size=MAX_QUEUE),
                {1: QueuePolicy(allows_override=False, max_size=3)},
                keeps_order=True,
            ),
            id="all of it",
        ),
    ],
)
def test_batching(text: str, batching: Batching) -> None:
    assert config(text).batching == batching


@pytest.mark.parametrize(
    ("text", "there", "served"),
    [
        ("", [1, 3, 2], [3]),
        ("version_policy: { latest { num_versions: 2 } }", [1, 3, 2], [3, 2]),
        ("version_policy: { all { } }", [1, 3, 2], [3, 2, 1]),
        ("version_policy: { specific { versions: [ 1, 9 ] } }", [1, 3, 2], [1]),
    ],
)
def test_versions(text: str, there: list[int], served: list[int]) -> None:
    assert config(text).versions.of(there) == served


SEQUENCES = """
sequence_batching {
    %s max_sequence_idle_microseconds: 5000000
    control_input [
        { name: "START" control [ { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } ] },
        { name: "ID" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64 } ] }
    ]
    state [ { input_name: "in" output_name: "out" data_type: TYPE_FP32 dims: [ -1 ]
        initial_state { name: "zero" data_type: TYPE_FP32 dims: [ 2 ] zero_data: true } } ]
}
"""


@pytest.mark.parametrize(
    ("strategy", "most", "has_slots", "batching"),
    [
        ("direct { }", 8, True, Batching(8, policy=LONE.policy)),
        ("", 8, True, Batching(8, policy=LONE.policy)),
        (
            "oldest { max_candidate_sequences: 3 preferred_batch_size: [ 2 ] max_queue_delay_microseconds: 1000 }",
            3,
            False,
            Batching(8, (2,), 0.001, policy=LONE.policy),
        ),
    ],
)
def test_sequences(strategy: str, most: int, has_slots: bool, batching: Batching) -> None:  # noqa: FBT001
    found = config(SEQUENCES % strategy)
    assert found.batching == batching
    assert found.sequencing == Sequencing(
        most,
        has_slots,
        5.0,
        (Control("START", Kind.START, "INT32", 0, 1), Control("ID", Kind.CORRID, "UINT64")),
        (State("in", "out", "FP32", (2,)),),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("control_input [ { } ]", r"control_input\[0\].name: ''"),
        ('control_input [ { name: "a" } ]', r"control_input\[0\].control: '0 entries'"),
        ('control_input [ { name: "a" control [ { } ] } ]', r"control\[0\]: 'none' is not allowed; use one of int32"),
        (
            'control_input [ { name: "a" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32 } ] } ]',
            "data_type: 'TYPE_FP32'",
        ),
        ('state [ { input_name: "a" } ]', r"state\[0\].output_name: ''"),
        (
            'state [ { input_name: "a" output_name: "b" data_type: TYPE_FP32 dims: [ -1 ] } ]',
            r"state\[0\].dims: \[-1\]",
        ),
        ("oldest { preferred_batch_size: [ 9 ] }", r"sequence_batching.oldest.preferred_batch_size: \[9\]"),
        ("direct { minimum_slot_utilization: 0.5 }", "minimum_slot_utilization: 0.5 .* does not offer this"),
    ],
)
def test_sequences_that_are_none(text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        config(f"sequence_batching {{ {text} }}")


def test_what_else_is_read() -> None:
    found = config(
        """parameters { key: "k" value: { string_value: "v" } } model_transaction_policy { decoupled: true }
        response_cache { enable: true } optimization { eager_batching: true graph { level: 1 } }
        metric_tags { key: "a" value: "b" }
        model_warmup [ {
            name: "w" batch_size: 2
            inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 4 ] random_data: true } }
        } ]
        """,
        "python",
    )
    assert (found.parameters, found.is_decoupled, found.keeps_answers) == ({"k": "v"}, True, True)
    assert found.warmups == (Warmup("w", 2, 1, {"x": Sample("FP32", (4,), is_random=True)}),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("input [ }", r"config.pbtxt: '.*' is not allowed; write it as Triton's ModelConfig"),
        ("inputs: 3", r'has no field named "inputs"'),
        ("backend: 3", "config.pbtxt: .*Expected string but found: '3'"),
        (f'backend: "onnxruntime" {PORTS} max_batch_size: -1', "max_batch_size: -1"),
        (
            f'backend: "python" {PORTS} ensemble_scheduling {{ }}',
            "ensemble_scheduling: '0 steps' is not allowed; set platform: \"ensemble\" too",
        ),
        (f"{PORTS}", "config.pbtxt: backend: '' is not allowed; use ensemble, onnxruntime, python, pytorch"),
        (f'platform: "tensorrt_plan" {PORTS}', "platform: 'tensorrt_plan'"),
        (f'name: "n" backend: "python" {PORTS}', "config.pbtxt: name: 'n' is not allowed; it is the folder's, 'm'"),
        ('backend: "python" input [ { data_type: TYPE_FP32 dims: [ 1 ] } ]', r"input\[0\].name: ''"),
        ('backend: "python" input [ { name: "x" dims: [ 1 ] } ]', r"input\[0\].data_type: 'TYPE_INVALID'"),
        ('backend: "python" input [ { name: "x" data_type: 99 dims: [ 1 ] } ]', r"input\[0\].data_type"),
        ('backend: "python" input [ { name: "x" data_type: TYPE_FP32 } ]', r"input\[0\].dims: \[\]"),
        ('backend: "python" input [ { name: "x" data_type: TYPE_FP32 dims: [ 0 ] } ]', r"input\[0\].dims: \[0\]"),
        (
            'backend: "python" input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] reshape { shape: [ 3 ] } } ]',
            r"input\[0\].reshape.shape: \[3\] is not allowed; use as many elements",
        ),
        (
            'backend: "python" input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] reshape { shape: [ 3 ] } } ]',
            r"input\[0\].reshape.shape: \[3\] is not allowed; use at most one -1",
        ),
        (f'backend: "python" {PORTS} {PORTS}', r"input\[1\].name: 'x' is not allowed; each name once"),
        (f'backend: "python" {PORTS} default_model_filename: "../x"', "default_model_filename: '../x'"),
        (
            'backend: "python" output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] label_filename: "/etc/passwd" } ]',
            r"output\[0\].label_filename",
        ),
        (f'backend: "python" {PORTS} version_policy {{ specific {{ }} }}', "version_policy.specific.versions"),
        (f'backend: "python" {PORTS} dynamic_batching {{ preferred_batch_size: [ 2 ] }}', "preferred_batch_size"),
        (f'backend: "python" {PORTS} dynamic_batching {{ priority_levels: 2 }}', "default_priority_level: 0"),
        (
            f'backend: "python" {PORTS} dynamic_batching {{ priority_queue_policy {{ key: 1 value: {{ }} }} }}',
            "priority_queue_policy: 1",
        ),
        (f'backend: "python" {PORTS} model_warmup [ {{ batch_size: 3 }} ]', r"model_warmup\[0\].batch_size: 3"),
        (
            'backend: "python" model_warmup [ { inputs { key: "x" value: { input_data_file: "../f" } } } ]',
            r"model_warmup\[0\].inputs\[x\].input_data_file: '../f'",
        ),
        (
            'backend: "python" model_warmup [ { inputs { key: "x" value: { dims: [ 70000, 70000 ] } } } ]',
            r"model_warmup\[0\].inputs\[x\].dims: \[70000, 70000\] .* elements at most",
        ),
    ],
)
def test_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        read(text, "m")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('runtime: "x"', "runtime"),
        ("instance_group [ { }, { rate_limiter { priority: 1 } } ]", r"instance_group\[1\].rate_limiter"),
        ("instance_group [ { passive: true } ]", r"instance_group\[0\].passive"),
        ("sequence_batching { iterative_sequence: true }", "sequence_batching.iterative_sequence"),
        ('ensemble_scheduling { step [ { model_namespace: "a" } ] }', r"ensemble_scheduling.step\[0\].model_namespace"),
        ("batch_input [ { } ]", "batch_input"),
        ("batch_output [ { } ]", "batch_output"),
        ('model_operations { op_library_filename: "x.so" }', "model_operations"),
        ('model_repository_agents { agents [ { name: "a" } ] }', "model_repository_agents"),
        ("optimization { cuda { graphs: true } }", "optimization.cuda"),
        (
            'optimization { execution_accelerators { cpu_execution_accelerator [ { name: "x" } ] } }',
            "optimization.execution",
        ),
        ('cc_model_filenames { key: "7.5" value: "x" }', "cc_model_filenames"),
        ("model_metrics { metric_control [ { } ] }", "model_metrics"),
    ],
)
def test_what_is_not_offered_is_named(text: str, field: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"config.pbtxt: {field}.* does not offer this"):
        config(text)
    with pytest.raises(InvalidInputError, match=r"input\[1\].allow_ragged_batch"):
        config('input [ { name: "r" data_type: TYPE_FP32 dims: [ 1 ] allow_ragged_batch: true } ]')


WORDS = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "input",
        "output",
        "name",
        "dims",
        '"x"',
        "-1",
        "4",
        "TYPE_FP32",
        "data_type",
        "backend",
        '"python"',
        "dynamic_batching",
        "instance_group",
        "count",
        "1e99",
        "max_batch_size",
        "reshape",
        "shape",
        "#",
        "'",
        "version_policy",
        "latest",
    ]
)


def refused(text: str) -> str:
    """Read it; returns which field is refused, or nothing."""
    try:
        read(text, "m")
    except InvalidInputError as error:
        return error.field
    return ""


@given(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=40).map(" ".join)))
def test_no_text_does_harm(text: str) -> None:
    """It is a configuration, or an error that names the file."""
    assert refused(text).partition(":")[0] in {"config.pbtxt", ""}


@given(st.binary(max_size=300))
def test_no_message_does_harm(content: bytes) -> None:
    """Whatever fields a ModelConfig has, written as text."""
    made = message("ModelConfig")()
    with contextlib.suppress(DecodeError):
        made.ParseFromString(content)
    assert refused(text_format.MessageToString(made)).partition(":")[0] in {"config.pbtxt", ""}


def test_a_large_one_is_not_read() -> None:
    with pytest.raises(InvalidInputError, match="use at most 1000000"):
        read(" " * 1_000_001, "m")
