"""A speech enhancer, laid out as gtcrn_simple.onnx: one frame of a spectrum and three caches in, the same out.

Where upstream has a network, this graph has the textbook: a noise floor for each frequency that follows the minimum of
the smoothed power (Cohen 2002), and Wiener gains from a decision-directed signal-to-noise ratio (Ephraim and Malah
1984). It lessens steady noise and nothing else.
"""

from pathlib import Path

from handmade_graph import Graph

_RATE_HZ, _SIZE, _HOP = 16000, 512, 256
_LINES = _SIZE // 2 + 1
_NEAR = 15  # lines of the spectrum that share the first floor
_SMOOTH = 0.8  # of the power from frame to frame (16 ms)
_RISE = 1.012  # of the minimum a frame: 3 dB a second, so that it follows noise that grows
_SPEECH = 4.0  # times the minimum: what is louder is speech, and no noise is learned from it
_LEARN = 0.04
_DECIDED = 0.92  # weight of the last frame's decision
_FLOOR = 0.1  # smallest gain, -20 dB
_TINY = 1e-12
_METADATA = {
    "model_type": "gtcrn",
    "version": 1,
    "sample_rate": _RATE_HZ,
    "n_fft": _SIZE,
    "hop_length": _HOP,
    "window_length": _SIZE,
    "window_type": "hann_sqrt",
    "conv_cache_shape": f"1,{_LINES}",
    "tra_cache_shape": f"1,{_LINES}",
    "inter_cache_shape": f"2,{_LINES}",
    "comment": "GTCRN layout, gains by rule",
}


def write(folder: Path) -> None:
    """Writes the model."""
    graph = Graph("gtcrn")
    mix = graph.input("mix", "float", [1, _LINES, 1, 2])
    clean = graph.input("conv_cache", "float", [1, _LINES])
    smooth = graph.input("tra_cache", "float", [1, _LINES])
    floors = graph.input("inter_cache", "float", [2, _LINES])

    power = graph.reshape(graph.sum(graph.op("Mul", mix, mix), 3), 1, _LINES)
    lowest, noise = graph.slice(floors, 0, 1, 0), graph.slice(floors, 1, 2, 0)
    # Caches of zeros: nothing was heard yet, and what is heard first stands for the noise.
    fresh = graph.op("Less", noise, _number(graph, _TINY))
    first = graph.op("AveragePool", graph.reshape(power, 1, 1, _LINES), kernel_shape=[_NEAR], pads=[_NEAR // 2] * 2)
    first = graph.reshape(first, 1, _LINES)  # one frame's single lines are too uneven to stand for a floor
    smooth = graph.op("Where", fresh, first, _mixed(graph, smooth, power, _SMOOTH))
    lowest = graph.op("Min", smooth, graph.op("Mul", lowest, _number(graph, _RISE)))
    lowest = graph.op("Where", fresh, first, lowest)
    speech = graph.op("Greater", smooth, graph.op("Mul", lowest, _number(graph, _SPEECH)))
    noise = graph.op("Where", speech, noise, _mixed(graph, noise, power, 1 - _LEARN))
    noise = graph.op("Where", fresh, first, noise)

    divisor = graph.op("Add", noise, _number(graph, _TINY))
    now = graph.op("Relu", graph.op("Sub", graph.op("Div", power, divisor), _number(graph, 1.0)))
    ratio = _mixed(graph, graph.op("Div", clean, divisor), now, _DECIDED)
    gain = graph.op("Div", ratio, graph.op("Add", ratio, _number(graph, 1.0)))
    gain = graph.op("Max", gain, _number(graph, _FLOOR))
    clean = graph.op("Mul", power, graph.op("Mul", gain, gain))

    enhanced = graph.op("Mul", mix, graph.reshape(gain, 1, _LINES, 1, 1))
    graph.output(enhanced, "enh", "float", [1, _LINES, 1, 2])
    graph.output(clean, "conv_cache_out", "float", [1, _LINES])
    graph.output(smooth, "tra_cache_out", "float", [1, _LINES])
    graph.output(graph.op("Concat", lowest, noise, axis=0), "inter_cache_out", "float", [2, _LINES])
    graph.save(folder / "gtcrn_simple.onnx", _METADATA)


def _number(graph: Graph, value: float) -> str:
    return graph.const(value, "float")


def _mixed(graph: Graph, old: str, new: str, weight: float) -> str:
    """``weight`` of the old value and the rest of the new one."""
    kept, added = (graph.op("Mul", value, _number(graph, share)) for value, share in ((old, weight), (new, 1 - weight)))
    return graph.op("Add", kept, added)
