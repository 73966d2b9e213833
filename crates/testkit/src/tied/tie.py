# A watcher beside this process that kills it when the pipe at standard input closes: when whoever started it lets go of
# it, or is gone, however that happened. The watcher is a process and no thread, so that it also ends a server that is
# paused. It ends with the server, whatever this process becomes after it.
import os
import select
import signal

watched = os.pidfd_open(os.getpid())
if os.fork() == 0:
    # No signal to the group of the server reaches it: the system sends SIGHUP to a paused group that is orphaned.
    os.setsid()
    # Nobody writes to the pipe: it is readable when it is closed.
    ready, _, _ = select.select([0, watched], [], [])
    if watched not in ready:
        signal.pidfd_send_signal(watched, signal.SIGKILL)
    os._exit(0)
os.close(watched)
