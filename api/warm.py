"""Compile every kernel once, so that the first command is as quick as the second. Run at installation."""

import sys


def main() -> None:
    """Play a tiny world through the whole engine; compiled kernels stay in the cache beside the sources."""
    from sims.run import play
    from sims.world import nbo

    sys.stderr.write("compiling kernels, once\n")
    play(nbo(1, customers=600, history=3_000), rounds=1)


if __name__ == "__main__":
    main()
