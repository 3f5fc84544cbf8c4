"""Lets torchvision and torchaudio that were built for CUDA be imported beside a torch for CPUs.

Their compiled operators don't load there. The Python code of torchvision expects the schemas of two of them, which are
declared at the beginning of that code, as ``scripts/env.sh`` does for vLLM. torchaudio works without its library.
"""

# mypy: ignore-errors
# It runs in the environments of consumers.

import site
from pathlib import Path

MARK = "# schemas for a build without compiled operators\n"
DECLARATIONS = """import torch as _torch
if not hasattr(_torch.ops.torchvision, "nms"):
    _library = _torch.library.Library("torchvision", "DEF")
    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""

if __name__ == "__main__":
    packages = Path(site.getsitepackages()[0])
    code = packages / "torchvision" / "_meta_registrations.py"
    if MARK not in (text := code.read_text()):
        code.write_text(MARK + DECLARATIONS + text)
    for library in (packages / "torchaudio" / "lib").glob("*.so"):
        library.unlink()
