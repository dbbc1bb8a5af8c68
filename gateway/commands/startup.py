"""What holds from the first instant of a process, before all else is even imported.

What we write is ours alone to read. And a signal that ends `gateway run` is heard: the first
process of a container is asked to end by signals that the kernel drops where nobody has said what
they mean; then it would be killed, a long while later. As long as nothing is open it ends at once.
"""

import os
import signal

HANDED = "GATEWAY_HANDED"  # in the environment: the descriptor of what the program is started for
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # by any of these `gateway run` ends
_OURS_ALONE = 0o077


def begin(*, serves: bool) -> None:
    """Have it hold; `serves`: for a gateway, not a command."""
    os.umask(_OURS_ALONE)
    if serves:
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it for SIGHUP
                signal.signal(number, lambda *_: os._exit(0))
        keep_for_later(is_over=True)


def keep_for_later(*, is_over: bool) -> None:
    """Have those signals wait while one program takes the place of another, which has to say anew
    what they mean; or have them heard again.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK if is_over else signal.SIG_BLOCK, ENDING)
