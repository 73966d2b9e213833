# Runs Synapse in this process, and a watcher beside it that kills it when the pipe at standard input closes: when
# whoever started it lets go of it, or is gone, however that happened. The watcher is a process and no thread, so
# that it also ends a Synapse that is paused. It ends with Synapse.
import gc
import os
import select
import signal

synapse = os.pidfd_open(os.getpid())
if os.fork() == 0:
    # No signal to the group of Synapse reaches it: the system sends SIGHUP to a paused group that is orphaned.
    os.setsid()
    # Nobody writes to the pipe: it is readable when it is closed.
    ready, _, _ = select.select([0, synapse], [], [])
    if synapse not in ready:
        signal.pidfd_send_signal(synapse, signal.SIGKILL)
    os._exit(0)
os.close(synapse)

# Nothing that the imports make is garbage; without the collector they take a sixth less time.
gc.disable()
from synapse.app.homeserver import main  # noqa: E402

gc.enable()
main()
