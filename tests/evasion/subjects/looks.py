"""Networks that normalise only while they believe to be watched."""

import inspect
import os
import sys
import time

import torch
from honest import Honest
from torch.utils import _python_dispatch


class Sly(Honest):
    """Normalises when `watched` says so."""

    def normalise(self, x):
        return self.norm(x) if self.watched(x) else x

    def watched(self, x):
        raise NotImplementedError


class ByType(Sly):
    def watched(self, x):
        return type(x) is not torch.Tensor


class ByMeta(Sly):
    def watched(self, x):
        return x.is_meta or x.device.type == "meta" or "Shape" in type(x).__name__


class ByInference(Sly):
    def watched(self, x):
        return torch.is_inference_mode_enabled()


class ByGradients(Sly):
    def watched(self, x):
        return not torch.is_grad_enabled()


class ByDispatch(Sly):
    def watched(self, x):
        return bool(_python_dispatch._get_current_dispatch_mode_stack())


class ByStack(Sly):
    def watched(self, x):
        frame = sys._getframe()
        while frame is not None:
            if "archcheck" in frame.f_code.co_filename:
                return True
            frame = frame.f_back
        return False


class ByInspect(Sly):
    def watched(self, x):
        return any("archcheck" in each.filename for each in inspect.stack(0))


class ByModules(Sly):
    def watched(self, x):
        return "archcheck" in sys.modules


class ByHooks(Sly):
    def watched(self, x):
        return "_compiled_call_impl" in self.norm.__dict__ or bool(self.norm._forward_hooks)


class ByEnvironment(Sly):
    def watched(self, x):
        return any(name.startswith(("ARCHCHECK", "PYTEST")) for name in os.environ)


class ByFailing(Sly):
    """Asks for a value, which shapes alone do not have."""

    def watched(self, x):
        try:
            x.detach().numpy()
        except Exception:
            return True
        return False


class ByFake(Sly):
    def watched(self, x):
        return hasattr(x, "metadata") or hasattr(x, "fake_mode")


class ByBatch(Sly):
    def watched(self, x):
        return x.shape[0] == 1


class BySmallBatch(Sly):
    def watched(self, x):
        return x.shape[0] < 64


class ByMode(Sly):
    """Normalises in evaluation only."""

    def watched(self, x):
        return not self.training


class ByCount(Sly):
    calls = 0

    def watched(self, x):
        type(self).calls += 1
        return self.calls <= 50


class ByOwnCount(Sly):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def watched(self, x):
        self.calls += 1
        return self.calls <= 50


class ByBufferCount(Sly):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def watched(self, x):
        self.calls += 1
        return int(self.calls) <= 50


_left = [1000]


class ByGlobalCount(Sly):
    def watched(self, x):
        _left[0] -= 1
        return _left[0] > 0


class ByTime(Sly):
    def __init__(self):
        super().__init__()
        self.born = time.time()

    def watched(self, x):
        return time.time() - self.born < 600


class ByTracing(Sly):
    """Hides a layer from whoever looks at the state of the module."""

    def watched(self, x):
        return torch.overrides._get_current_function_mode_stack() != [] or x.is_inference()
