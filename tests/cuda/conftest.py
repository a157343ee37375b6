"""Where kernels run in tests: on a GPU, unless NUMBA_ENABLE_CUDASIM=1 or VBREF_CUDA_EMULATED=1.

In the simulator threads take turns often enough for barriers to be quick, and vbref may use it.
"""

import os
import sys

if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    sys.setswitchinterval(1e-4)
    from vbref.cuda import device

    device.settings.allow_simulator = True
    device.settings.poison = True
elif os.environ.get("VBREF_CUDA_EMULATED") == "1":
    from emulator.device import install

    install()
