"""AdamW's parameter groups: which weights decay, and how fast each layer learns.

Taught in chapter 6 (weight decay) and chapter 10 (layer-wise decay of the learning rate).
"""

from torch import nn


def layer_depths(model) -> dict[str, int]:
    """How far each parameter lies from the input: 0 for embeddings, 1 for the first layer, and so on up to the head.

    Args:
        model: a Transformers model with a head on an encoder.

    Returns:
        A depth for each name of ``model.named_parameters()``. What is neither embedding nor layer counts as the head.

    Raises:
        ValueError: the layers of the model cannot be told apart.
    """
    count = model.config.num_hidden_layers
    stacks = [
        name for name, module in model.named_modules() if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if len(stacks) != 1:  # such as ALBERT, which has one layer and uses it again and again
        raise ValueError(
            f"{type(model).__name__} has {len(stacks)} lists of {count} modules, so its layers are not known; "
            "train it with layer_decay=1.0"
        )
    depths = {}
    for name, _ in model.named_parameters():
        if name.startswith(stacks[0] + "."):
            depths[name] = 1 + int(name[len(stacks[0]) + 1 :].split(".", 1)[0])  # …layer.3.output… is depth 4
        else:
            depths[name] = 0 if "embed" in name else count + 1  # poolers and final norms learn as the head does
    return depths


def parameter_groups(
    model, weight_decay: float, learning_rate: float, layer_decay: float = 1.0, decayed: str = "matrices"
) -> list[dict]:
    """Groups for AdamW, the head's first.

    Args:
        model: a Transformers model with a head on an encoder. Frozen parameters are left out.
        weight_decay: of the weights that decay.
        learning_rate: of the head.
        layer_decay: the last layer learns at ``layer_decay`` times the head's rate, the layer below it at
            ``layer_decay`` times that, and so on down to the embeddings. With 1.0 all learn at one rate.
        decayed: ``matrices``, so that biases and normalisation weights, which are vectors, keep their size; or ``all``.

    Raises:
        ValueError: ``layer_decay`` is not above 0 and at most 1, or the layers of the model cannot be told apart.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay must be above 0 and at most 1, got {layer_decay}")
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    depths = layer_depths(model) if layer_decay < 1 else dict.fromkeys(learning, 0)
    top = max(depths.values())
    groups: dict[tuple[int, bool], dict] = {}
    for name, parameter in learning.items():
        below, is_vector = top - depths[name], parameter.ndim < 2 and decayed == "matrices"
        group = groups.setdefault(
            (below, is_vector),
            {
                "params": [],
                "lr": learning_rate * layer_decay**below,  # the exponent is 0 for the head
                "weight_decay": 0.0 if is_vector else weight_decay,
            },
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]
