# Becomes Synapse.
import gc

# Nothing that the imports make is garbage; without the collector they take a sixth less time.
gc.disable()
from synapse.app.homeserver import main  # noqa: E402

gc.enable()
main()
