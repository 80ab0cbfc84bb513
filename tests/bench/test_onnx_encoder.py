"""ONNX files as encoders: what they must offer, what is refused, and every stage that reads features."""

import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper  # noqa: E402

from bench.encoder import normalise  # noqa: E402
from bench.onnx_encoder import OnnxEncoder, open_onnx  # noqa: E402
from bench.schema import CLEAN, Normalisation  # noqa: E402
from bench.stages import cka, distillation, finetune, linear_probe, retrieval, robustness  # noqa: E402
from tests.bench.onnx_files import changed, file_of, levels_file, node, tensor  # noqa: E402
from tests.bench.stages.judged_case import judged_case  # noqa: E402
from tests.bench.stages.known_nets import OracleNet  # noqa: E402

CPU = torch.device("cpu")


def opened(content):
    return OnnxEncoder(content, name="file.onnx", device=CPU)


def clips_of(level, count=2):
    pixels = torch.full((count, 4, 16, 16, 3), level, dtype=torch.uint8)
    return normalise(pixels, Normalisation())


# What it offers


def test_features_layers_and_size_are_those_of_the_graph():
    encoder = opened(levels_file())
    assert (encoder.feature_dim, encoder.trunk, encoder.parameters) == (3, None, 11)
    features = encoder.encode(clips_of(120))
    colours = torch.tensor([0.0, 1.0, 0.0]).expand(2, 3)
    torch.testing.assert_close(features, colours, atol=0.12, rtol=0)  # its own colours are near the usual ones
    layers = encoder.layers(clips_of(120))
    assert list(layers) == ["level", "pooled"]
    assert torch.equal(layers["pooled"], features)
    assert layers["level"].shape == (2, 1)


def test_the_row_goes_by_the_bytes_of_the_file():
    one, other = (
        levels_file(),
        levels_file(properties={"reelproof.normalisation": Normalisation().model_dump_json(), "a": "b"}),
    )
    assert opened(one).weight_hash == opened(one).weight_hash != opened(other).weight_hash


def test_it_can_be_sent_to_another_process():
    encoder = opened(levels_file())
    again = pickle.loads(pickle.dumps(encoder))
    assert torch.equal(again.encode(clips_of(90)), encoder.encode(clips_of(90)))
    assert (again.name, again.weight_hash, again.normalisation) == (
        encoder.name,
        encoder.weight_hash,
        encoder.normalisation,
    )


def test_a_clip_of_another_size_than_declared_is_refused_with_both():
    encoder = opened(levels_file(clips=("batch", 3, 16, 112, 112)))
    assert encoder.accepts(16, 112, 112) is None
    assert "takes clips of 16 x 112 x 112 only. Export it for 8 x 56 x 56" in encoder.accepts(8, 56, 56)
    free = file_of(
        [node("Reshape", ["clips", "shape"], ["features"])],
        [tensor("shape", np.array([-1, 3072]))],
        [("features", ("batch", 3072))],
    )
    assert opened(free).accepts(4, 16, 16) is None
    assert "gives (4, 3072) for two clips" in opened(free).accepts(8, 16, 16)
    assert "cannot read clips of 2 x 3 x 5 x 15 x 15" in opened(free).accepts(5, 15, 15)


# What is refused


def external(content, place="weights.bin"):
    def move(model):
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=place)

    return changed(content, move)


def custom(domain="evil.ops"):
    return levels_file(
        nodes=[node("Run", ["clips"], ["level"], domain=domain), node("Run", ["level"], ["features"], domain=domain)],
        opsets=(domain,),
    )


def hidden_in_a_branch(nodes, weights=()):
    """The graph of a branch that is never taken."""
    inner = helper.make_graph(
        nodes, "inner", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 3])], weights
    )
    other = helper.make_graph(
        [node("Identity", ["mean3"], ["y"])],
        "other",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 3])],
    )
    return file_of(
        [
            node("ReduceMean", ["clips", "axes"], ["mean3"], keepdims=0),
            node("If", ["no"], ["features"], then_branch=inner, else_branch=other),
        ],
        [tensor("axes", np.array([2, 3, 4])), tensor("no", np.array(False))],
        [("features", ("batch", 3))],
    )


def outside(place):
    weight = tensor("w", np.zeros((1, 3), np.float32))
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=place)
    return weight


def flat(clips, kind=TensorProto.FLOAT):
    """Takes clips of any shape and kind."""
    return file_of([node("Flatten", ["clips"], ["features"])], [], [("features", ("batch", 3072))], clips, kind)


def in_a_function(domain):
    function = helper.make_function(
        "mine",
        "Twice",
        ["x"],
        ["y"],
        [node("Run", ["x"], ["y"], domain=domain)],
        [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)] if domain else [helper.make_opsetid("", 18)],
    )
    return levels_file(functions=[function], opsets=("mine",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no graph"),
        (b"PK\x03\x04 a zip", "no ONNX file"),
        (b"\x80\x04\x95 a pickle", "no ONNX file"),
        (levels_file()[:-40], "no ONNX file|holds no graph|does not say how it wants its colours"),
        (external(levels_file()), r"weights of std in another file \('weights.bin'\), which is not opened"),
        (external(levels_file(), "/etc/passwd"), "/etc/passwd"),
        (external(levels_file(), "../../secret"), "not opened"),
        (custom(), r"uses evil\.ops\.Run, which is no operator of the ONNX standard"),
        (custom("com.microsoft"), "no operator of the ONNX standard"),
        (hidden_in_a_branch([node("Run", [], ["x"], domain="evil.ops")]), r"evil\.ops\.Run"),
        (hidden_in_a_branch([node("Identity", ["w"], ["x"])], [outside("/dev/zero")]), "/dev/zero"),
        (hidden_in_a_branch([node("Constant", [], ["x"], value=outside("/dev/zero"))]), "/dev/zero"),
        (in_a_function("evil.ops"), r"evil\.ops\.Run"),
        (levels_file(nodes=[node("NoSuchThing", ["clips"], ["features"])], outputs=[("features", ("batch", 3))]), "cannot be run"),
        (levels_file(properties={}), "does not say how it wants its colours. Add the property reelproof.normalisation"),
        (levels_file(properties={"reelproof.normalisation": "{}{"}), "Invalid JSON"),
        (levels_file(clips=(1, 3, 4, 16, 16)), "takes 1 clips at a time. Export it with a free first dimension"),
        (levels_file(clips=("batch", 1, "t", "h", "w")), r"float clips \[B, 3, T, H, W\] are expected"),
        (flat(("batch", 3, "h", "w")), r"float clips \[B, 3, T, H, W\] are expected"),
        (flat(("batch", 3, "t", "h", "w"), TensorProto.FLOAT16), r"takes clips tensor\(float16\).*are expected"),
        (levels_file(outputs=[("level_B", ("batch",)), ("features", ("batch", 3))]), "a layer is float"),
        (levels_file(outputs=[("level_B", ("batch",))]), "a pooled feature, float"),
    ],
)  # fmt: skip
def test_what_is_no_encoder_or_reaches_outside_is_refused_in_a_sentence(content, words):
    with pytest.raises(ValueError, match=words):
        opened(content)


def calling(functions):
    """The mean colours of a clip, then the last of these functions; each is a list of whom it calls, one after the other."""
    made = []
    for at, callees in enumerate(functions):
        names = ["x", *(f"x{number}" for number in range(1, len(callees))), "y"]
        calls = [
            node(
                "Identity" if callee is None else f"F{callee}",
                [before],
                [after],
                domain="" if callee is None else "mine",
            )
            for callee, before, after in zip(callees, names, names[1:], strict=False)
        ]
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
        made.append(helper.make_function("mine", f"F{at}", ["x"], ["y"], calls, opsets))
    nodes = [
        node("ReduceMean", ["clips", "axes"], ["mean3"], keepdims=0),
        node(f"F{len(functions) - 1}", ["mean3"], ["features"], domain="mine"),
    ]
    weights = [tensor("axes", np.array([2, 3, 4]))]
    return file_of(nodes, weights, [("features", ("batch", 3))], functions=made, opsets=("mine",))


def test_functions_that_call_others_are_unfolded_unless_there_is_no_end_of_it():
    assert opened(calling([[None], [0, 0], [1, 1]])).encode(clips_of(100)).shape == (2, 3)
    doubling = [[None], *([at, at] for at in range(24))]
    with pytest.raises(ValueError, match="more than 100,000 operators, functions unfolded"):
        opened(calling(doubling))
    with pytest.raises(ValueError, match="functions nested too deeply"):
        opened(calling([[None], *([at] for at in range(3000))]))
    with pytest.raises(ValueError, match="functions that call themselves"):
        opened(calling([[1], [0]]))


def dated(**changes):
    """Written in another edition of the standard."""

    def change(model):
        model.ir_version = changes.get("ir", model.ir_version)
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid("", version) for version in changes.get("opsets", (18,)))

    return changed(levels_file(), change)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (dated(opsets=(99,)), "written in opset 99, .*opsets 7 to .* are read"),
        (dated(opsets=(1,)), "written in opset 1, "),
        (dated(opsets=()), "written in opset none, "),
        (dated(opsets=(18, 19)), "written in opset 18 and 19, "),
        (dated(ir=99), "IR version 99; .*IR versions up to"),
    ],
)
def test_a_file_of_another_time_is_told_what_is_read(content, words):
    with pytest.raises(ValueError, match=words):
        opened(content)


def parts(count):
    """So many operators without a name, two bytes each, as the end of the file's graph."""
    length, size = 2 * count, b""
    while length > 127:
        size, length = size + bytes([length & 127 | 128]), length >> 7
    return levels_file() + b"\x3a" + size + bytes([length]) + b"\x0a\x00" * count


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
def test_a_file_of_nothing_but_empty_parts_is_refused_before_it_takes_the_memory_they_would_need():
    with pytest.raises(ValueError, match="more than 100,000 operators"):
        opened(parts(200_000))
    # Which of the two it is depends on what this process has to spare from before.
    with pytest.raises(ValueError, match=r"no ONNX file, or a damaged one|more than 100,000 operators"):
        opened(parts(20_000_000))


def test_a_file_that_looks_like_onnxruntimes_own_format_too_is_read_as_the_message_that_was_looked_through():
    content = b"\x12\x06..ORTM" + levels_file()  # a maker's name, which puts the mark where onnxruntime looks for it
    assert content[4:8] == b"ORTM"
    assert torch.equal(opened(content).encode(clips_of(90)), opened(levels_file()).encode(clips_of(90)))


def test_a_loop_is_refused_since_the_file_does_not_show_how_long_it_computes():
    ends = [("going", TensorProto.BOOL, []), ("x_out", TensorProto.FLOAT, ["b", 3])]
    begins = [("round", TensorProto.INT64, []), ("go", TensorProto.BOOL, []), ("x_in", TensorProto.FLOAT, ["b", 3])]
    body = helper.make_graph(
        [node("Identity", ["go"], ["going"]), node("Identity", ["x_in"], ["x_out"])],
        "body",
        [helper.make_tensor_value_info(*value) for value in begins],
        [helper.make_tensor_value_info(*value) for value in ends],
    )
    content = file_of(
        [
            node("ReduceMean", ["clips", "axes"], ["mean3"], keepdims=0),
            node("Loop", ["rounds", "yes", "mean3"], ["features"], body=body),
        ],
        [tensor("axes", np.array([2, 3, 4])), tensor("rounds", np.array(2**60)), tensor("yes", np.array(True))],
        [("features", ("batch", 3))],
    )
    with pytest.raises(ValueError, match="uses Loop: how long that computes is not seen in the file"):
        opened(content)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
@pytest.mark.parametrize("sides", [(40_000, 40_000), (10**6, 10**6)])
def test_a_small_file_that_asks_for_much_memory_is_told_so_at_the_first_clips(sides):
    content = file_of(
        [
            node("ReduceMean", ["clips", "axes"], ["mean3"], keepdims=0),
            node("ReduceMean", ["mean3"], ["number"], keepdims=0),
            node("Expand", ["number", "sides"], ["large"]),
            node("ReduceMean", ["large"], ["small"], keepdims=0),
            node("Add", ["mean3", "small"], ["features"]),
        ],
        [tensor("axes", np.array([2, 3, 4])), tensor("sides", np.array(sides))],
        [("features", ("batch", 3))],
    )
    assert len(content) < 1000
    assert "cannot read clips of 2 x 3 x 4 x 16 x 16" in opened(content).accepts(4, 16, 16)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
def test_the_bound_on_memory_ends_with_the_trial():
    import resource  # noqa: PLC0415  (not everywhere)

    before = resource.getrlimit(resource.RLIMIT_AS)
    assert opened(levels_file()).accepts(4, 16, 16) is None
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_function_of_standard_operators_inside_the_file_is_allowed():
    function = helper.make_function(
        "mine", "Means", ["x", "axes"], ["y"],
        [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)], [helper.make_opsetid("", 18)],
    )  # fmt: skip
    content = file_of(
        [node("Means", ["clips", "axes"], ["features"], domain="mine")],
        [tensor("axes", np.array([2, 3, 4]))],
        [("features", ("batch", 3))],
        functions=[function],
        opsets=("mine",),
    )
    assert opened(content).encode(clips_of(100)).shape == (2, 3)


def test_a_file_too_large_for_one_message_is_not_read(tmp_path):
    file = tmp_path / "large.onnx"
    with file.open("wb") as large:
        large.truncate(2**31)
    with pytest.raises(ValueError, match="at most 2 GiB"):
        open_onnx(file, name="large", device=CPU)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr(
        "bench.onnx_encoder.importlib.util.find_spec", lambda name: None if name == "onnxruntime" else name
    )
    with pytest.raises(
        ValueError, match=r"^onnxruntime must be installed to read ONNX: pip install 'reelproof\[onnx\]'"
    ):
        opened(levels_file())


# The stages that read features


@pytest.fixture
def cases(tmp_path):
    """The same oracle as an ONNX file and as a module."""
    case = judged_case(tmp_path / "onnx")
    return replace(case, encoder=opened(levels_file())), judged_case(tmp_path / "torch", net=OracleNet())


def right(output, **words):
    (guesses,) = [one for one in output.guesses if all(getattr(one, key) == word for key, word in words.items())]
    return [int(video_id[-1]) == row[0] for video_id, row in zip(guesses.video_ids, guesses.ranking_NK, strict=True)]


def test_probe_retrieval_and_noise_on_the_probe_are_those_of_the_same_module(cases):
    for stage in (linear_probe, retrieval, robustness):
        ours, theirs = (stage.run(case) for case in cases)
        assert [one.condition for one in ours.guesses] == [one.condition for one in theirs.guesses]
        for one, other in zip(ours.guesses, theirs.guesses, strict=True):
            if one.condition.severity < 3:
                np.testing.assert_array_equal(one.ranking_NK[:, 0], other.ranking_NK[:, 0])
    assert all(right(linear_probe.run(cases[0]), model=""))
    noisy = robustness.run(cases[0])
    assert {one.model for one in noisy.guesses} == {"probe"}
    clean = next(one for one in noisy.guesses if one.condition == CLEAN)
    assert all(right(noisy, condition=clean.condition))


def test_finetuning_says_that_it_cannot_be_and_cka_compares_the_declared_outputs(cases):
    case, _ = cases
    output = finetune.run(case)
    assert not output.guesses
    assert output.remarks == (finetune.FEATURES_ONLY,)
    (grams,) = cka.run(case).grams
    assert (grams.model, grams.layers) == ("pretrained", ("level", "pooled"))
    assert grams.grams_LBNN.shape == (2, 2, 6, 6)


def test_its_probe_is_the_teacher_in_distillation(cases):
    case, _ = cases
    table_NVK = distillation.submission_logits(case, 0)
    assert table_NVK.shape == (30, 2, 3)
    labels = [label for _, _, label in distillation.taught_videos(case)]
    np.testing.assert_array_equal(table_NVK.argmax(2), np.array(labels)[:, None].repeat(2, axis=1))
    arms = {one.model for one in distillation.run(case).guesses}
    assert arms == {"alone", "submission"}
