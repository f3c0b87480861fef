"""Search for inputs that a reader of files mishandles, guided by coverage.

    python -m benchmarks.fuzz checkpoint --inputs 1000000        (extra: fuzz)
    python -m benchmarks.fuzz checkpoint --inputs 1000000 --random

Every input must be read, or refused with the reader's one exception type in one line, within one
second of processor time. It may cost four times its size and 64 MB, measured as the process's
greatest resident size. Inputs are mutated by the structure of the format, with right checksums.
The first input that breaks a rule ends the search and stays in a file. With ``--random``, inputs
are mutated seeds; the search needs no atheris then and repeats from its seed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

SLOW = 4.0  # seconds: what atheris instruments takes 4 to 20 times as long
FORMATS_OF = "tests.fuzzing"  # imported late: atheris instruments what is imported after it


def guided(name: str, folder: Path, inputs: int, seed: int) -> None:
    """Run atheris, which ends the process."""
    import atheris  # noqa: PLC0415 (an extra)

    with atheris.instrument_imports(include=["numpy_rnn", "json", "tomllib"]):
        from tests.fuzzing import Fuzzer  # noqa: PLC0415 (after atheris)
        from tests.mutations import mutate  # noqa: PLC0415 (after atheris)
    fuzzer = Fuzzer(name, folder, slow=SLOW)
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(fuzzer.seeds):
        (corpus / f"seed{number}").write_bytes(data)

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)  # noqa: S311 (not a secret)
        if rng.random() < 0.1:
            return bytes(atheris.Mutate(data, max_size))
        return mutate(data or fuzzer.seeds[0], rng)[:max_size]

    count, start = 0, time.monotonic()

    def check(data: bytes) -> None:
        nonlocal count
        fuzzer.check(data)
        count += 1
        if count == inputs:
            print(fuzzer.report(time.monotonic() - start), flush=True)

    # Libfuzzer's own limits on time and memory are those of the whole process.
    limits = [f"-runs={inputs}", "-max_len=65536", "-rss_limit_mb=0", f"-seed={seed + 1}"]
    output = ["-print_final_stats=1", "-verbosity=0", f"-artifact_prefix=fuzz-{name}-"]
    atheris.Setup([sys.argv[0], *limits, *output, str(corpus)], check, custom_mutator=change)
    atheris.Fuzz()


def at_random(name: str, folder: Path, inputs: int, seed: int) -> None:
    """Check mutated seeds."""
    from tests.fuzzing import Fuzzer, fuzz  # noqa: PLC0415 (see FORMATS_OF)

    start, fuzzer = time.monotonic(), Fuzzer(name, folder)
    try:
        fuzz(fuzzer, inputs, seed)
    except BaseException:
        found = Path(f"fuzz-{name}-{seed}")
        found.write_bytes(fuzzer.last)
        print(f"the input is in {found}", file=sys.stderr)
        raise
    print(fuzzer.report(time.monotonic() - start))


def main() -> None:
    """Run the search."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("format", help=f"a key of {FORMATS_OF}.FORMATS")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="number of inputs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations")
    parser.add_argument("--random", action="store_true", help="without coverage")
    options = parser.parse_args()
    search = at_random if options.random else guided
    memory = Path("/dev/shm")  # noqa: S108 (only the parent of a folder of its own)
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        search(options.format, Path(folder), options.inputs, options.seed)


if __name__ == "__main__":
    main()
