"""What every test can rely on."""

import os
import signal
import threading

# Threads of a small product wait for one another asleep: where other processes hold the cores,
# waiting awake takes a hundred times as long as the product.  Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A process that was started in the background of a shell ignores Ctrl-C, and so do its children;
# the tests of Ctrl-C then would say nothing of makedo.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)
