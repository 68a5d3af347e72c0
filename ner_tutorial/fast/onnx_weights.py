"""Store the weights of an ONNX graph as 8-bit integers.

Used by ``export_onnx`` (chapter 10). Each row of an embedding table, and each column of a matrix, is divided by a scale of
its own so that its largest number becomes 127, and rounded. The graph multiplies by the scale again.
"""

import numpy as np

# A table of fewer rows (positions, token types) saves little, and every token reads it.
FEWEST_ROWS = 1024


def rounded(weights: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix as integers from -127 to 127 and the scales that they are multiples of.

    Args:
        weights: (rows, columns), float32.
        axis: along which numbers share a scale: 1 for a scale per row, 0 for one per column.

    Returns:
        int8 of the same shape, and float32 scales with 1 in place of ``axis``. A row of zeros has the scale 1.
    """
    scales = np.abs(weights).max(axis, keepdims=True) / 127
    scales[scales == 0] = 1  # or zeros would be divided by zero
    return np.rint(weights / scales).astype(np.int8), scales.astype(np.float32)


def _replace(graph, name: str, axis: int) -> tuple[str, str]:
    """Put integers and scales in place of one of the graph's tensors; their names."""
    from onnx import numpy_helper

    tensor = next(tensor for tensor in graph.initializer if tensor.name == name)
    integers, scales = rounded(numpy_helper.to_array(tensor), axis)
    graph.initializer.remove(tensor)
    names = f"{name}_int8", f"{name}_scale"
    graph.initializer.extend(
        numpy_helper.from_array(part, new) for part, new in zip((integers, scales), names, strict=True)
    )
    return names


def embeddings_as_int8(graph) -> None:
    """Store large embedding tables as int8; what is looked up becomes float32 again, row by row."""
    from onnx import TensorProto, helper

    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Gather"]:
        table, ids = node.input
        size = sizes.get(table, ())
        if (
            len(size) != 2
            or size[0] < FEWEST_ROWS
            or any(attribute.name == "axis" and attribute.i for attribute in node.attribute)
        ):
            continue
        if sum(table in other.input for other in graph.node) > 1:
            continue  # something else needs it as it is, such as a head that shares it
        integers, scales = _replace(graph, table, axis=1)
        out, at = node.output[0], list(graph.node).index(node)
        graph.node.remove(node)
        # The new nodes take its place: a graph's nodes come after what they need.
        for offset, new in enumerate(
            [
                helper.make_node("Gather", [integers, ids], [f"{out}_int8"], f"{out}_rows"),
                helper.make_node("Gather", [scales, ids], [f"{out}_scale"], f"{out}_scales"),
                helper.make_node("Cast", [f"{out}_int8"], [f"{out}_float"], f"{out}_cast", to=TensorProto.FLOAT),
                helper.make_node("Mul", [f"{out}_float", f"{out}_scale"], [out], f"{out}_mul"),
            ]
        ):
            graph.node.insert(at + offset, new)


def matrices_as_int8(graph) -> None:
    """Store the matrices of all products as int8. They become float32 when the file is loaded, and so compute as before."""
    from onnx import TensorProto, helper

    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    names = [
        node.input[1] for node in graph.node if node.op_type == "MatMul" and len(sizes.get(node.input[1], ())) == 2
    ]
    for name in dict.fromkeys(names):
        integers, scales = _replace(graph, name, axis=0)
        graph.node.insert(0, helper.make_node("Mul", [f"{name}_float", scales], [name], f"{name}_mul"))
        graph.node.insert(
            0, helper.make_node("Cast", [integers], [f"{name}_float"], f"{name}_cast", to=TensorProto.FLOAT)
        )
