"""The phantom: generated chest radiographs with reports and ground truth, in the layout of MIMIC-CXR.

    from medvlp.data.phantom import generate

    generate("phantom", patients=200, seed=0, size=256)

Everything is drawn from numbers; no picture, sentence or number of a real person is in it. See docs/phantom.md.
"""

from medvlp.data.phantom.findings import FINDINGS
from medvlp.data.phantom.generate import NOTICE, World, generate
from medvlp.data.phantom.sheet import write_sheet

__all__ = ["FINDINGS", "NOTICE", "World", "generate", "write_sheet"]
