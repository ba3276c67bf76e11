"""Everything tied to a table, a path, a seed sweep or a picture: thin mains over `vae_topk_jax`."""

import signal
import sys

# `python -m experiments.NAME` is ended by Ctrl-C without a traceback while it still imports
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
