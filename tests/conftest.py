"""What every test can rely on."""

import signal
import threading

# A process that was started in the background of a shell ignores Ctrl-C, and so do its children;
# the tests of Ctrl-C then would say nothing of makedo.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):
    signal.signal(signal.SIGINT, signal.default_int_handler)
