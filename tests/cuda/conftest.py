"""In the simulator: its threads take turns often enough for barriers to be quick, and vbref may use it."""

import os
import sys

if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    sys.setswitchinterval(1e-4)
    from vbref.cuda import device

    device.settings.allow_simulator = True
    device.settings.poison = True
