"""`import vbref` is light: nothing compiled, nothing heavy loaded, well under half a second."""

import json
import subprocess
import sys

PROBE = """
import json, sys, time
start = time.perf_counter()
import vbref
print(json.dumps([time.perf_counter() - start, sorted(sys.modules), callable(vbref.fit)]))
"""


def imported():
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_import_is_light_and_binds_fit():
    runs = [imported() for _ in range(3)]
    assert min(seconds for seconds, _, _ in runs) < 0.5
    _, modules, fit_is_callable = runs[0]
    assert fit_is_callable
    # Without Numba nothing can have been compiled.
    assert not {"numba", "scipy", "matplotlib", "tqdm", "torch"} & set(modules)


def test_every_room_and_name_is_there():
    import vbref

    for name in vbref.__all__:
        assert getattr(vbref, name) is not None
    assert set(vbref.__all__) <= set(dir(vbref))
    assert callable(vbref.fit)
