"""The phantom: generated chest radiographs with reports and ground truth, in the layout of MIMIC-CXR.

    from medvlp.phantom import generate

    generate("phantom", patients=200, seed=0, size=256)

Everything is drawn from numbers; no picture, sentence or number of a real person is in it. See docs/phantom.md.
"""

from medvlp.phantom.findings import FINDINGS
from medvlp.phantom.generate import NOTICE, World, generate
from medvlp.phantom.sheet import write_sheet

__all__ = ["FINDINGS", "NOTICE", "World", "generate", "write_sheet"]
