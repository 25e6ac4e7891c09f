"""Backends: one file is one backend. This folder is our only code that runs inside workers.

A worker loads it in the interpreter of the backend's framework, so it is standard library plus NumPy, in syntax that
Python 3.9 runs, and imports none of our code from outside. A file whose name begins with an underscore is not a
backend.

A backend's file states, as constants that are read without importing NumPy or the framework:

    MODULE              what is imported, and looked for in the current interpreter
    DISTRIBUTION        what is installed into a managed environment
    RELEASE             the release of it that the tests use
    REQUIREMENTS        what must be installed beside it
    PYTHON              the Python releases on which it installs: from the first, below the second (or None)
    FORMATS             dtype -> how the engine departs from plain IEEE arithmetic of that dtype (usually not at all)
    LACKS               dtype -> why the engine cannot compute in it
    INSTALL_OPTIONS     optional: platform -> options for uv that are tried first where no index is set
    DEVICES             optional: kind of device -> REQUIREMENTS and INSTALL_OPTIONS, in small letters, where it differs
    OLDER_REQUIREMENTS  optional: release -> what takes the place of REQUIREMENTS for releases before it

    VARIANT_OF          optional: the name of a file beside it, whose constants hold where it states none

and a function `load()` that imports the framework and returns an `Engine`.
"""

from gradcheck.backends._engine import Answer, Engine, Operations, Unavailable, Unsupported

__all__ = ["Answer", "Engine", "Operations", "Unavailable", "Unsupported"]
