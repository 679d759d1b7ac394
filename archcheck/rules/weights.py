"""Weights and layers: no hidden weights, no unused or frozen parameters, no unused layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from archcheck.facts.facts import Facts
from archcheck.facts.records import MUCH, NUMBER_BYTES, Hidden, Layer
from archcheck.facts.selectors import outermost, selects_layer
from archcheck.foundation.words import amount, listed
from archcheck.rules.base import Rule
from archcheck.rules.findings import Finding, Result
from archcheck.rules.queries.placed_findings import layer_finding
from archcheck.rules.queries.scope import beside_on, demand_reach, hidden_on, params_on, reach
from archcheck.rules.queries.value_passes import decided_at, in_passes


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHiddenWeights(Rule):
    """No weights act beside the parameters of the model.

    Hidden weights change the result, but no optimiser trains them and no count includes them. Examples are layers in a
    plain Python list, tensors in closures and globals, numbers in Python, and weights that `forward` decodes, unpacks
    or draws from a seed. Use `nn.ModuleList` or `nn.Parameter` instead.
    Everything that acts on an output counts, whatever operation reads it: tensors from outside, buffers, numbers of
    Python (except 0, 1, -1, 2 and 0.5), and draws that no seed changes. `allow` is how many such numbers are accepted,
    at four bytes each: enough for epsilons, slopes, the mean of each colour, a small filter. A 64-bit number takes
    eight bytes if it is neither a float32 nor a short decimal. A parameter that no module owns is never accepted.
    These do not count: statistics of normalisations, noise, and what follows from shapes and a few numbers, such as
    masks, positions, sinusoids and windows. A table counts as many numbers as are needed to describe it. For a table
    that is fixed on purpose, waive the rule with the path of the buffer as `layer`.

    Example, kept:
        rule = no-hidden-weights = true
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = no-hidden-weights = true
        model =
            def __init__(self):
                super().__init__()
                self.layers = [nn.Linear(3, 4)]

            def forward(self, x):
                return self.layers[0](x)
        input = [1, 3]
        says = 12 hidden weights: `Linear.weight` of shape 4x3 used by `linear`

    Example, broken:
        rule = no-hidden-weights = true
        model =
            def __init__(self):
                super().__init__()
                self.register_buffer("filters", torch.randn(8, 1, 9))

            def forward(self, x):
                return F.conv1d(x, self.filters)
        input = [1, 1, 16]
        says = 72 hidden weights: the buffer `filters` of shape 8x1x9 used by `conv1d`
    """

    prohibition = True
    allow: int = field(default=MUCH, metadata={"least": 0})

    def check(self, facts: Facts) -> Result:
        """List what acts beside the parameters, if it is more than is allowed, or was made to be trained."""
        demand_reach(self, facts)
        entries = hidden_on(facts, self.on)
        more = beside_on(facts, self.on)
        numbers = sum(each.numbers or each.elements for each in entries) + sum(each.numbers for each in more)
        packed = sum(each.content_bytes for each in (*entries, *more))
        wide = f" in {packed:,} bytes" if packed > numbers * NUMBER_BYTES else ""
        few = f" ({amount(numbers, 'numbers')}{wide} beside the parameters)" if numbers else ""
        unowned = any(each.trainable for each in entries)
        if unowned and numbers <= self.allow:  # it was made to be trained, however small it is
            shown, found, limit, unit = entries, sum(each.elements for each in entries), 0, "hidden weights"
        elif numbers <= self.allow < packed / NUMBER_BYTES:  # some are wide, and hold several
            shown, found, limit, unit = (*entries, *more), packed, self.allow * NUMBER_BYTES, "bytes of numbers"
        else:
            shown = (*entries, *more) if numbers > self.allow else ()
            found, limit, unit = numbers, self.allow, "numbers beside the parameters"
        return Result(
            examined=reach(facts, self.on),
            findings=tuple(_hidden_finding(weight, facts) for weight in shown),
            found=found,
            limit=limit,
            unit=unit,
            kept=f"no hidden weights{few}",
        )


_FIXED = "make it an `nn.Parameter`, frozen if need be, or waive the rule for this buffer"


def _hidden_finding(weight: Hidden, facts: Facts) -> Finding:
    shape = "x".join(map(str, weight.shape)) or "scalar"
    name = f"`{weight.name}`" if weight.name else "a tensor"
    name = f"the buffer {name}" if weight.buffer else name
    user = f"used by `{weight.used_by}`" + (f" at {weight.where}" if weight.where else "")
    return Finding(
        message=f"{weight.elements:,} hidden weights: {name} of shape {shape} {user} is not a parameter of the model",
        layer=weight.name if weight.buffer else weight.layer,
        where=weight.where or facts.built_at(weight.layer),
        fix=_FIXED if weight.buffer else "keep layers in `nn.ModuleList`, tensors in `nn.Parameter`",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoUnusedParams(Rule):
    """Every parameter is read by an operation on the way to an output, in evaluation or in training.

    Example, kept:
        rule = no-unused-params = true
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = no-unused-params = true
        model = nn.ModuleDict({"used": nn.Linear(3, 4), "idle": nn.Linear(4, 4)})
        forward = lambda model, x: model["used"](x)
        input = [1, 3]
        says = `idle.weight` (16 parameters) reaches no output
    """

    prohibition = True

    def check(self, facts: Facts) -> Result:
        """List every unused parameter."""
        demand_reach(self, facts)
        sizes = params_on(facts, self.on)
        unused = [name for name in facts.params.unused if name in sizes]
        if unused:
            facts.executed("train")  # without it, what only training uses would look unused
        return Result(
            examined=len(sizes),
            findings=_listed(
                unused, sizes, facts, f"reaches no output{in_passes(facts)}", fix="use it in `forward`, or remove it"
            ),
            found=sum(sizes[name] for name in unused),
            limit=0,
            unit="unused parameters",
            kept=f"all {len(sizes)} parameter tensors are used",
            notes=_unsettled(facts),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoFrozenParams(Rule):
    """Every parameter is trained: none has `requires_grad = False`.

    A parameter that is frozen for fine-tuning and then forgotten is never trained again, and the loss does not show it.

    Example, kept:
        rule = no-frozen-params = true
        model = nn.Linear(3, 4)
        input = [1, 3]

    Example, broken:
        rule = no-frozen-params = true
        model = nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Linear(4, 1))
        input = [1, 3]
        says = `0.weight` (12 parameters) is frozen: it has `requires_grad = False`
    """

    prohibition = True

    def check(self, facts: Facts) -> Result:
        """List every frozen parameter."""
        demand_reach(self, facts)
        sizes = params_on(facts, self.on)
        frozen = [name for name in facts.params.frozen_names if name in sizes]
        fix = "train it (`requires_grad_(True)`), or keep what is fixed in a buffer"
        return Result(
            examined=len(sizes),
            findings=_listed(frozen, sizes, facts, "is frozen: it has `requires_grad = False`", fix=fix),
            found=sum(sizes[name] for name in frozen),
            limit=0,
            unit="frozen parameters",
            kept=f"none of {len(sizes)} parameter tensors is frozen",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NoUnusedLayers(Rule):
    """Every layer is called, and what it gives reaches an output, in evaluation or in training.

    Layers without parameters count, too: a dropout that is built and never called drops nothing. The report lists only
    the outermost layer of an unused branch. A layer is used if its weights are used without a call, such as the
    `out_proj` of an attention. A container is used if its layers run. Losses and metrics that `forward` never calls
    belong outside the model.

    Where values decide what runs, the model runs at least 16 times on varied inputs, and then on larger batches and
    with other parameters. A layer is unused if none of these passes calls it. Where values choose among many layers,
    such as experts, and new ones still appear, the others are not reported as unused; a note names them.

    Example, kept:
        rule = no-unused-layers = true
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1))
        input = [1, 3]

    Example, broken:
        rule = no-unused-layers = true
        model = nn.ModuleDict({"fc": nn.Linear(3, 4), "drop": nn.Dropout(0.5)})
        forward = lambda model, x: model["fc"](x)
        input = [1, 3]
        says = `drop` (Dropout) is never called

    Example, broken:
        rule = no-unused-layers = true
        model = nn.ModuleDict({"fc": nn.Linear(3, 4), "side": nn.Sequential(nn.Linear(3, 4), nn.ReLU())})
        forward = lambda model, x: (model["fc"](x), model["side"](x))[0]
        input = [1, 3]
        says = `side` (Sequential with 2 layers) runs, but its result reaches no output
    """

    prohibition = True

    def check(self, facts: Facts) -> Result:
        """List every unused layer; of an unused branch, only the outermost."""
        demand_reach(self, facts)
        layers = [layer for layer in facts.layers if selects_layer(self.on, layer, facts)]
        unused = outermost([layer for layer in layers if facts.is_unused(layer.path)])
        if unused:
            facts.executed("train")  # without it, what only training uses would look unused
        return Result(
            examined=len(layers),
            findings=tuple(_unused_layer_finding(layer, facts) for layer in unused),
            found=len(unused),
            limit=0,
            unit="unused layers",
            kept=f"all {len(layers)} layers are used",
            notes=_unsettled(facts),
        )


def _unsettled(facts: Facts) -> tuple[str, ...]:
    """Return a note with the layers that no pass ran, if they cannot be called unused."""
    passes = facts.passes
    if passes is None or not passes.unsettled:
        return ()
    why = "these are too few to tell" if passes.few else "values choose among others like it, which take turns"
    return (f"{listed([f'`{path}`' for path in passes.unsettled])}: never ran{in_passes(facts)}; {why}",)


def _unused_layer_finding(layer: Layer, facts: Facts) -> Finding:
    inside = facts.count_inside(layer.path)
    kind = layer.type + (f" with {amount(inside, 'layers')}" if inside else "")
    reason = "runs, but its result reaches no output" if facts.runs(layer.path) else "is never called"
    decided = decided_at(facts, layer.path)
    reason += in_passes(facts) + (f"; {decided}" if decided else "")
    return layer_finding(layer.path, facts, f"`{layer.path}` ({kind}) {reason}", "use it in `forward`, or remove it")


def _listed(
    names: Iterable[str], sizes: Mapping[str, int], facts: Facts, fault: str, *, fix: str
) -> tuple[Finding, ...]:
    """Return a finding for each parameter, at the line that builds its layer."""
    return tuple(
        layer_finding(name.rpartition(".")[0], facts, f"`{name}` ({sizes[name]:,} parameters) {fault}", fix)
        for name in names
    )
