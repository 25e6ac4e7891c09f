"""Run in a worker's interpreter: makes only the folder above importable, as `gradcheck.backends`."""

import importlib.machinery
import importlib.util
import os
import sys

folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.modules["gradcheck"] = importlib.util.module_from_spec(
    importlib.machinery.ModuleSpec("gradcheck", None, is_package=True)
)
spec = importlib.util.spec_from_file_location(
    "gradcheck.backends", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
)
assert spec is not None
assert spec.loader is not None
sys.modules["gradcheck.backends"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)

from gradcheck.backends._worker.host import main  # noqa: E402

main()
