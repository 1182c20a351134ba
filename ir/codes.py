"""What each diagnostic code means; ``neutrams explain`` prints it. A code has one meaning for ever."""

from __future__ import annotations

CODES: dict[str, str] = {
    # 01: types
    "NT0101": "The file uses an element type that has no counterpart here, such as strings or complex numbers.",
    "NT0102": "A shape is needed in numbers, but one of its dimensions is only a symbol. Symbols can be carried along (a batch), not computed with.",
    "NT0103": "Two operands have shapes that do not broadcast: on some axis their sizes differ and neither is 1.",
    "NT0120": "The windows of a convolution or a pool do not fit: a window is larger than the padded input, or kernel, strides, pads and dilations are not numbers for every spatial dimension.",
    "NT0130": "A unit holds integers only: its inputs and its weights must have an integer element type.",
    "NT0131": "A weight is outside the range that the given number of bits holds in the given coding.",
    # 06: models
    "NT0601": "The file cannot be read as a model: it is missing, empty, cut short, or holds something else.",
    "NT0602": "A model keeps weights in a file beside it, at a path that leaves the model's own folder or does not hold the bytes the model says. Such a file is never opened.",
    "NT0603": "A stored tensor has fewer or more bytes than its declared shape and element type need.",
    "NT0604": "A tensor of the model would take more memory than a model may use; nothing was allocated for it.",
    "NT0605": "Something that must be known when compiling (a shape, an axis, a condition) depends on the inputs of the model.",
    "NT0606": "The model asks for a version of an operator set, or of the file format, that is not supported.",
    "NT0607": "A weight holds NaN or infinite numbers, so nothing computed from it would mean anything.",
    "NT0608": "The graph of the model is not well formed: a value is read but never made, made twice, or depends on itself.",
    "NT0609": "The model uses operators that are not known here.",
    "NT0610": "An operator of the model is used with an option or operand that is not supported.",
    "NT0611": "An operator of the model lacks an input or an attribute that its definition requires, or one has the wrong type.",
    "NT0612": "Graphs, functions or loops of the model are nested or repeated more often than a model may.",
    "NT0613": "A branch or loop of the model depends on data, so no fixed network says what it computes.",
    "NT0614": "A size was given for a dimension that the model does not have, or that is already fixed.",
    "NT0615": "A torch module could not be exported to ONNX, or a library the export needs is not installed.",
    "NT0616": "The thing to load is no model of a known kind (a path to `.onnx` or `.nt`, an ONNX model, a torch module).",
    "NT0617": "The model takes or makes something that is not a dense tensor, such as a sequence, a map or a sparse tensor.",
}
