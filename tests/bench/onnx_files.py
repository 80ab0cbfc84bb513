"""Small ONNX files, made operator by operator."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.schema import Normalisation

COLOURS = {"reelproof.normalisation": Normalisation().model_dump_json()}
CLIPS = ("batch", 3, "frames", "height", "width")


def node(kind, inputs, outputs, **settings):
    return helper.make_node(kind, inputs, outputs, **settings)


def tensor(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


def levels_file(**changes):
    """Knows the three levels of brightness of the made-up classes, one feature each; its layer is the level."""
    nodes = [
        node("Mul", ["clips", "std"], ["scaled"]),
        node("Add", ["scaled", "mean"], ["pixels"]),
        node("ReduceMean", ["pixels", "axes"], ["level_B"], keepdims=0),
        node("Unsqueeze", ["level_B", "last"], ["level"]),
        node("Sub", ["level", "levels"], ["away"]),
        node("Mul", ["away", "away"], ["squared"]),
        node("Mul", ["squared", "narrow"], ["exponent"]),
        node("Exp", ["exponent"], ["features"]),
    ]
    weights = [
        tensor("std", np.float32(0.225)),
        tensor("mean", np.float32(0.45)),
        tensor("axes", np.array([1, 2, 3, 4])),
        tensor("last", np.array([1])),
        tensor("levels", np.array([[70.0, 120.0, 170.0]], np.float32) / 255),
        tensor("narrow", np.float32(-((255 / 20) ** 2))),
    ]
    outputs = [("level", ("batch", 1)), ("features", ("batch", 3))]
    return file_of(**{"nodes": nodes, "weights": weights, "outputs": outputs, **changes})


def file_of(nodes, weights, outputs, clips=CLIPS, kind=TensorProto.FLOAT, properties=COLOURS, functions=(), opsets=()):
    """The bytes of a model with one input, `clips`."""
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("clips", kind, clips)],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs],
        weights,
    )
    imports = [helper.make_opsetid("", 18), *(helper.make_opsetid(domain, 1) for domain in opsets)]
    model = helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=10)
    helper.set_model_props(model, dict(properties))
    return model.SerializeToString()


def changed(content, change):
    """The file after `change` has had its way with the message."""
    model = onnx.ModelProto.FromString(content)
    change(model)
    return model.SerializeToString()
