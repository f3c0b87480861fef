"""The programs of examples/ on real models: differences, speed, start-up and memory.

    python -m benchmarks.examples FOLDER [--rounds N]            (extra: benchmark; Linux)

FOLDER has silero_vad_16k.safetensors, silero_vad_16k_op15.onnx, a recording speech_10s_16k.wav, and
the probabilities of PyTorch and ONNX Runtime, one a line. Speed is compared with ONNX Runtime in
alternating turns, with one thread each. The amplifier plays an LSTM of 40 units that is made here.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import timing

os.environ.update(timing.ONE_THREAD)

import numpy as np

from examples import amplifier, voice_activity
from numpy_rnn import LSTM, Linear, Sequential

FILES = {
    "silero_vad_16k.safetensors": "probabilities_safetensors_torch.csv",
    "silero_vad_16k_op15.onnx": "probabilities_onnxruntime.csv",
}
FIRST_ANSWER = """
import numpy as np
from examples.voice_activity import VoiceDetector
VoiceDetector({model!r})(np.zeros(512, np.float32))
print(time.monotonic() - start, open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def their_detector(model: str, chunks: Any) -> Any:
    """Return a function that runs ONNX Runtime over all chunks."""
    import onnxruntime  # noqa: PLC0415 (an extra)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    before = np.concatenate([np.zeros((1, 64), np.float32), chunks[:-1, -64:]])
    inputs, rate = np.concatenate([before, chunks], axis=1)[:, None], np.array(16_000)

    def run() -> list[float]:
        state, found = np.zeros((2, 1, 128), np.float32), []
        for x in inputs:
            y, state = session.run(None, {"input": x, "state": state, "sr": rate})
            found.append(float(y[0, 0]))
        return found

    return run


def main() -> None:
    """Print a line for each model, and one for the amplifier."""
    parser = argparse.ArgumentParser(description="The examples on real models.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender")
    options = parser.parse_args()
    samples = voice_activity.read_wav(str(options.folder / "speech_10s_16k.wav"))
    chunks = samples[: len(samples) // 512 * 512].reshape(-1, 512)
    for name, reference in FILES.items():
        model = str(options.folder / name)
        expected = np.loadtxt(options.folder / reference)
        found = voice_activity.probabilities(model, samples)[: len(expected)]
        worst = np.abs(np.array(found) - expected).max()
        firsts = []
        for _ in range(options.rounds):
            begin = f"import time; start = {time.monotonic()}"
            printed = timing.run_python("-c", f"{begin}{FIRST_ANSWER.format(model=model)}")
            firsts.append([float(number) for number in printed.split()])
        seconds, kilobytes = map(median, zip(*firsts, strict=True))
        print(f"{name}: {len(found)} chunks differ by at most {worst:.1e}, ", end="")
        print(f"first answer after {seconds:.2f} s and {kilobytes / 1000:.0f} MB")

    detect, theirs = voice_activity.VoiceDetector(model), their_detector(model, chunks)
    turns = {
        "ours": lambda: timing.call_seconds(lambda: [detect(x) for x in chunks], 0),
        "theirs": lambda: timing.call_seconds(theirs, 0),
    }
    times = timing.alternate(turns, options.rounds)
    ratio = median(a / b for a, b in zip(times["ours"], times["theirs"], strict=True))
    ours, others = (1e6 * median(seconds) / len(chunks) for seconds in times.values())
    print(f"a chunk: {ours:.0f} us, ONNX Runtime {others:.0f} us, ratio {ratio:.2f}")

    lstm, linear = LSTM(1, 40, rng=0, dtype=np.float32), Linear(40, 1, rng=1, dtype=np.float32)
    network = Sequential(lstm, linear)
    second = np.random.default_rng(0).uniform(-1, 1, 48_000).astype(np.float32)
    taken = [
        timing.call_seconds(lambda: amplifier.play(network, second, []), 0)
        for _ in range(options.rounds)
    ]
    print(f"amplifier, LSTM of 40 units at 48 kHz: {1 / median(taken):.1f} times real time")


if __name__ == "__main__":
    main()
