"""What every test relies on."""

import signal

# A shell starts background jobs with Ctrl-C ignored, and Shoal leaves what is ignored alone; the tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)
